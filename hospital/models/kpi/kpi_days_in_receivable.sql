-- Days in accounts receivable per hospital: what is owed now, in days of net patient revenue.

with window_days as (

    select
        clock.as_of_date,
        {{ add_days('clock.as_of_date', '-' ~ var('receivable_window_days')) }} as window_start_date,
        min(bills.bill_date) as first_bill_date
    from {{ ref('fct_billing') }} as bills
    cross join {{ ref('int_clock') }} as clock
    where bills.bill_date <= clock.as_of_date
    group by clock.as_of_date

),

sums as (

    select
        bills.hospital_key,
        sum(bills.outstanding_amount) as receivable_amount,
        sum(case when bills.bill_date > window_days.window_start_date then bills.final_amount end) as window_revenue_amount,
        -- Data younger than the window: revenue is averaged over the days there are.
        max(
            case
                when window_days.first_bill_date > window_days.window_start_date
                then {{ dbt.datediff('window_days.first_bill_date', 'window_days.as_of_date', 'day') }} + 1
                else {{ var('receivable_window_days') }}
            end
        ) as window_days
    from {{ ref('fct_billing') }} as bills
    cross join window_days
    where bills.bill_date <= window_days.as_of_date
    group by bills.hospital_key

)

select
    hospitals.hospital_id,
    hospitals.hospital_name,
    clock.as_of_date,
    sums.receivable_amount,
    sums.window_revenue_amount,
    sums.window_days,
    {{ ratio('sums.window_revenue_amount', 'sums.window_days') }} as average_daily_revenue,
    {{ ratio('cast(sums.receivable_amount as double) * sums.window_days', 'sums.window_revenue_amount') }} as days_in_receivable
from sums
inner join {{ ref('dim_hospital') }} as hospitals on sums.hospital_key = hospitals.hospital_key
cross join {{ ref('int_clock') }} as clock
