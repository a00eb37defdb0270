-- Inpatients expected to leave today or tomorrow.

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
    days_in_hospital,
    expected_discharge_date,
    expected_discharge_date = clock.as_of_date as is_today
from {{ ref('list_current_inpatients') }}
cross join {{ ref('int_clock') }} as clock
where encounter_class = 'inpatient'
    and expected_discharge_date >= clock.as_of_date
    and expected_discharge_date <= {{ add_days('clock.as_of_date', 1) }}
