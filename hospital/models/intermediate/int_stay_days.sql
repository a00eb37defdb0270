-- Pairs (number of days, day offset): 1 → 0; 2 → 0, 1; … up to the variable `max_stay_days`. A stay is spread over its days by
-- an equality join on its number of days, where a range join against the calendar would compare every stay with every day.

with numbers as (

    {{ numbers(3) | indent(4) }}

)

select
    cast(lengths.n as bigint) as stay_days,
    cast(offsets.n as bigint) as day_offset
from numbers as lengths
inner join numbers as offsets on offsets.n < lengths.n
where lengths.n between 1 and {{ var('max_stay_days') }}
