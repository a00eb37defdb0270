-- Everyone who lies in a bed now, with the bed.

select
    stays.encounter_id,
    stays.patient_id,
    patients.mrn,
    patients.first_name,
    patients.last_name,
    patients.gender,
    flow.age_years,
    stays.hospital_id,
    stays.department_id,
    departments.department_name,
    rooms.room_number,
    beds.bed_label,
    stays.bed_type,
    stays.encounter_class,
    flow.diagnosis_code,
    flow.diagnosis_text,
    departments.department_type = 'emergency' as is_boarding,
    stays.is_inferred,
    flow.stay_started_at,
    stays.started_at as in_bed_since_at,
    {{ dbt.datediff('flow.admission_date', 'clock.as_of_date', 'day') }} as days_in_hospital,
    flow.expected_discharge_date
from {{ ref('int_bed_stays') }} as stays
inner join {{ ref('fct_patient_flow') }} as flow on stays.encounter_id = flow.encounter_id
cross join {{ ref('int_clock') }} as clock
left join {{ ref('dim_patient') }} as patients on stays.patient_id = patients.patient_id and patients.is_current
left join {{ ref('dim_department') }} as departments
    on stays.department_id = departments.department_id
    and departments.is_current
left join {{ ref('stg_hospital__rooms') }} as rooms on stays.room_id = rooms.room_id
left join {{ ref('stg_hospital__beds') }} as beds on stays.bed_id = beds.bed_id
where stays.is_counted
    and stays.is_open
