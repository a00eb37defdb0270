-- Admissions per date and gender.
select
    facts.admission_date,
    patients.gender,
    count(*) as patient_count
from {{ ref('fact_patient_flow') }} as facts
inner join {{ ref('dim_patient') }} as patients on facts.patient_sk = patients.surrogate_key
group by facts.admission_date, patients.gender
