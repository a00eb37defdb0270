-- The network's figures without the withheld stays; kpi_network counts them as the published dashboard did.
select
    count(*) as stays,
    100.0 * cast(sum(case when is_currently_admitted then 1 else 0 end) as double) / count(*) as bed_occupancy_percent,
    cast(count(*) as double) / count(distinct bed_id) as bed_turnover_rate,
    avg(length_of_stay_hours) as avg_length_of_stay_hours
from {{ ref('possible_stays') }}
