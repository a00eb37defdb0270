-- Visits, patients and cost per class of encounter.
select
    encounter_class,
    count(*) as encounters,
    count(distinct patient_id) as patients,
    sum(total_claim_cost) as total_claim_cost
from {{ ref('stg_synthea__encounters') }}
group by encounter_class
