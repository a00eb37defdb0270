-- The network's figures, each from its own numerator and denominator: a ratio is never a sum of its groups' ratios.
select
    count(*) as events,
    sum(case when is_currently_admitted then 1 else 0 end) as currently_admitted,
    100.0 * cast(sum(case when is_currently_admitted then 1 else 0 end) as double) / count(*) as bed_occupancy_percent,
    count(distinct bed_id) as bed_numbers,
    cast(count(*) as double) / count(distinct bed_id) as bed_turnover_rate,
    avg(length_of_stay_hours) as avg_length_of_stay_hours,
    avg(case when not is_impossible_stay then length_of_stay_hours end) as avg_possible_length_of_stay_hours,
    sum(case when length_of_stay_hours > {{ var('overstay_hours') }} then 1 else 0 end) as overstays,
    sum(case when is_impossible_stay then 1 else 0 end) as impossible_stays
from {{ ref('fact_patient_flow') }}
