-- Medications of the last 30 days by net quantity dispensed, with the 30 days before for growth.

with windows as (

    select
        medication_id,
        medication_name,
        atc_code,
        route,
        coalesce(sum(case when dispensed_date > {{ add_days('clock.as_of_date', -30) }} then net_quantity end), 0) as net_quantity,
        coalesce(sum(case when dispensed_date > {{ add_days('clock.as_of_date', -30) }} then net_cost end), 0) as net_cost,
        sum(case when dispensed_date > {{ add_days('clock.as_of_date', -30) }} then net_ddd end) as net_ddd,
        cast(coalesce(sum(
            case when dispensed_date > {{ add_days('clock.as_of_date', -30) }} then dispensings end
        ), 0) as bigint) as dispensings,
        coalesce(sum(
            case when dispensed_date <= {{ add_days('clock.as_of_date', -30) }} then net_quantity end
        ), 0) as previous_net_quantity
    from {{ ref('mart_clinical__medication_use') }}
    cross join {{ ref('int_clock') }} as clock
    where dispensed_date > {{ add_days('clock.as_of_date', -60) }}
    group by medication_id, medication_name, atc_code, route

)

select
    rank() over (order by net_quantity desc) as demand_rank,
    medication_id,
    medication_name,
    atc_code,
    route,
    net_quantity,
    previous_net_quantity,
    {{ ratio('net_quantity - previous_net_quantity', 'previous_net_quantity') }} as growth_rate,
    dispensings,
    net_cost,
    net_ddd
from windows
