-- Premiums and bills per kind of coverage, one line per policy and bill as in int_emp_insurance_billing. A policy with two bills
-- counts its premium twice in premium_sum; policy_premium_sum counts each policy once.
select
    coverage_type,
    sum(monthly_premium) as premium_sum,
    cast(avg(cast(final_amount as double)) as double) as final_amount_avg,
    sum(case when bill_number = 1 then monthly_premium else 0 end) as policy_premium_sum,
    count(billing_id) as bills,
    count(distinct insurance_id) as policies
from (
    select
        coverage_type,
        insurance_id,
        monthly_premium,
        billing_id,
        final_amount,
        row_number() over (partition by insurance_id order by billing_id) as bill_number
    from {{ ref('int_emp_insurance_billing') }}
) as insured
group by coverage_type
