-- One row per minute of the day.

with minutes as (

    select cast(n as integer) as time_key
    from ({{ numbers(4) }}) as numbers
    where n < 1440

),

split as (

    select
        time_key,
        cast(floor(time_key / 60.0) as integer) as hour_of_day,
        cast(time_key % 60 as integer) as minute_of_hour
    from minutes

)

select
    time_key,
    hour_of_day,
    minute_of_hour,
    lpad(cast(hour_of_day as varchar), 2, '0') || ':' || lpad(cast(minute_of_hour as varchar), 2, '0') as time_label,
    case
        when hour_of_day >= 7 and hour_of_day < 15 then 'day'
        when hour_of_day >= 15 and hour_of_day < 23 then 'evening'
        else 'night'
    end as shift_type,
    hour_of_day < 12 as is_before_noon
from split
