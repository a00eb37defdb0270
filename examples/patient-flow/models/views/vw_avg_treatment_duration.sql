-- Average hours from admission to discharge, per department name and gender, impossible stays included as in the original.
select
    departments.department,
    patients.gender,
    avg(facts.length_of_stay_hours) as avg_treatment_duration
from {{ ref('fact_patient_flow') }} as facts
inner join {{ ref('dim_patient') }} as patients on facts.patient_sk = patients.surrogate_key
inner join {{ ref('dim_department') }} as departments on facts.department_sk = departments.surrogate_key
group by departments.department, patients.gender
