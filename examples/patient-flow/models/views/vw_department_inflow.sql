-- Events per department name and gender.
select
    departments.department,
    patients.gender,
    count(*) as patient_count
from {{ ref('fact_patient_flow') }} as facts
inner join {{ ref('dim_patient') }} as patients on facts.patient_sk = patients.surrogate_key
inner join {{ ref('dim_department') }} as departments on facts.department_sk = departments.surrogate_key
group by departments.department, patients.gender
