-- Patients per gender, counted over all events.
select
    patients.gender,
    count(*) as total_patients
from {{ ref('fact_patient_flow') }} as facts
inner join {{ ref('dim_patient') }} as patients on facts.patient_sk = patients.surrogate_key
group by patients.gender
