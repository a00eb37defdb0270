-- Events that break no rule.

select
    event_id, patient_id, department_id, hospital_id, bed_id,
    gender, age,
    admission_at, discharge_at
from {{ ref('int_events') }}
where reasons = ''
