-- Denied claims, the largest sum first.

select
    claims.claim_id,
    claims.bill_id,
    claims.encounter_id,
    claims.patient_id,
    claims.hospital_id,
    payers.payer_name,
    claims.denial_code,
    claims.denial_reason,
    claims.billed_amount,
    claims.submitted_date,
    claims.adjudicated_date,
    {{ dbt.datediff('claims.adjudicated_date', 'clock.as_of_date', 'day') }} as days_since_denial
from {{ ref('fct_claim') }} as claims
inner join {{ ref('dim_payer') }} as payers on claims.payer_key = payers.payer_key
cross join {{ ref('int_clock') }} as clock
where claims.is_denied
order by claims.billed_amount desc nulls last, claims.claim_id
