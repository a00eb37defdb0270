-- Denied claims per payer and month of submission, by count and by money, of the claims submitted in that month.
-- Beside it HFMA's form: the month's denials against the average of the three months of submissions before it.

with monthly as (

    select
        payer_id,
        payer_name,
        submitted_month,
        submitted_claims,
        adjudicated_claims,
        denied_claims,
        billed_amount,
        denied_amount,
        cast(sum(submitted_claims) over prior_months as bigint) as prior_submitted_claims,
        count(*) over prior_months as prior_month_count
    from {{ ref('mart_finance__claims_monthly') }}
    window prior_months as (
        partition by payer_key order by submitted_month rows between 3 preceding and 1 preceding
    )

)

select
    payer_id,
    payer_name,
    submitted_month,
    denied_claims,
    submitted_claims,
    adjudicated_claims,
    {{ ratio('denied_claims', 'submitted_claims') }} as denial_rate,
    {{ ratio('denied_claims', 'adjudicated_claims') }} as denial_rate_of_adjudicated,
    denied_amount,
    billed_amount,
    {{ ratio('denied_amount', 'billed_amount') }} as denied_amount_rate,
    prior_submitted_claims,
    prior_month_count,
    {{ ratio('denied_claims * prior_month_count', 'prior_submitted_claims') }} as denial_rate_hfma
from monthly
