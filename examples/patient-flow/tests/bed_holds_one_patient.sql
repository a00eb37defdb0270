{{ config(severity='warn') }}
-- Two patients at once in one bed of one hospital. The generated events do this often; real ones should not.
-- Impossible stays have no duration that could overlap another.
select first_stay.fact_id, second_stay.fact_id as other_fact_id
from {{ ref('fact_patient_flow') }} as first_stay
inner join {{ ref('dim_department') }} as first_department on first_stay.department_sk = first_department.surrogate_key
inner join {{ ref('fact_patient_flow') }} as second_stay on first_stay.bed_id = second_stay.bed_id
inner join {{ ref('dim_department') }} as second_department on second_stay.department_sk = second_department.surrogate_key
where first_department.hospital_id = second_department.hospital_id
    and first_stay.fact_id < second_stay.fact_id
    and not first_stay.is_impossible_stay
    and not second_stay.is_impossible_stay
    and first_stay.admission_time < second_stay.discharge_time
    and second_stay.admission_time < first_stay.discharge_time
