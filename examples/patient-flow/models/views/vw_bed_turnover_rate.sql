-- Events ÷ distinct bed numbers, per gender.
select
    patients.gender,
    cast(count(*) as double) / count(distinct facts.bed_id) as bed_turnover_rate
from {{ ref('fact_patient_flow') }} as facts
inner join {{ ref('dim_patient') }} as patients on facts.patient_sk = patients.surrogate_key
group by patients.gender
