-- One row per version of a patient: a new version begins with the first event that shows another gender or age.
select
    patient_id,
    gender,
    age,
    effective_from,
    cast(row_number() over (order by patient_id, effective_from, gender, age) - 1 as bigint) as surrogate_key,
    lead(effective_from) over (partition by patient_id order by effective_from, gender, age) as effective_to,
    lead(effective_from) over (partition by patient_id order by effective_from, gender, age) is null as is_current
from (
    select patient_id, gender, age, min(admission_time) as effective_from
    from {{ ref('stg_patient_flow__events') }}
    group by patient_id, gender, age
) as versions
