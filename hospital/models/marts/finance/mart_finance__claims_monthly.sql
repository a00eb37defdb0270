-- One row per payer and month of submission: claims, money and denials.

select
    claims.payer_key,
    payers.payer_id,
    payers.payer_name,
    payers.payer_type,
    {{ month_of('claims.submitted_date') }} as submitted_month,
    count(*) as submitted_claims,
    count(*) filter (where claims.is_adjudicated) as adjudicated_claims,
    count(*) filter (where claims.is_denied) as denied_claims,
    sum(claims.billed_amount) as billed_amount,
    sum(claims.allowed_amount) as allowed_amount,
    sum(claims.paid_amount) as paid_amount,
    sum(claims.denied_amount) as denied_amount,
    cast(sum(claims.days_to_adjudication) as bigint) as adjudication_days
from {{ ref('fct_claim') }} as claims
inner join {{ ref('dim_payer') }} as payers on claims.payer_key = payers.payer_key
cross join {{ ref('int_clock') }} as clock
where claims.submitted_at <= clock.as_of_at
group by
    claims.payer_key,
    payers.payer_id,
    payers.payer_name,
    payers.payer_type,
    {{ month_of('claims.submitted_date') }}
