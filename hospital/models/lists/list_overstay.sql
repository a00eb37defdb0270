-- Inpatients who are still in after the day they were expected to leave, the longest first.

select
    encounter_id,
    patient_id,
    mrn,
    first_name,
    last_name,
    hospital_id,
    department_id,
    department_name,
    room_number,
    bed_label,
    diagnosis_text,
    stay_started_at,
    days_in_hospital,
    expected_discharge_date,
    {{ dbt.datediff('expected_discharge_date', 'clock.as_of_date', 'day') }} as days_over
from {{ ref('list_current_inpatients') }}
cross join {{ ref('int_clock') }} as clock
where encounter_class = 'inpatient'
    and expected_discharge_date < clock.as_of_date
order by days_over desc, encounter_id
