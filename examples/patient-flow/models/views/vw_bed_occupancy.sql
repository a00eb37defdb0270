-- Currently admitted ÷ all events × 100, per gender. The shares of two genders must not be added: see kpi_network.
select
    patients.gender,
    100.0 * cast(sum(case when facts.is_currently_admitted then 1 else 0 end) as double) / count(*) as bed_occupancy_percent
from {{ ref('fact_patient_flow') }} as facts
inner join {{ ref('dim_patient') }} as patients on facts.patient_sk = patients.surrogate_key
group by patients.gender
