-- One row per calendar day between the variables `calendar_start` and `calendar_end`.

with days as (

    {{ date_spine("cast('" ~ var('calendar_start') ~ "' as date)", "cast('" ~ var('calendar_end') ~ "' as date)") | indent(4) }}

)

select
    date_day,
    cast(extract(year from date_day) as integer) as year_number,
    cast(extract(quarter from date_day) as integer) as quarter_number,
    cast(extract(month from date_day) as integer) as month_number,
    cast(extract(day from date_day) as integer) as day_of_month,
    cast(case when extract(dow from date_day) = 0 then 7 else extract(dow from date_day) end as integer) as iso_day_of_week,
    cast(extract(week from date_day) as integer) as iso_week,
    case cast(extract(dow from date_day) as integer)
        when 0 then 'Sunday'
        when 1 then 'Monday'
        when 2 then 'Tuesday'
        when 3 then 'Wednesday'
        when 4 then 'Thursday'
        when 5 then 'Friday'
        else 'Saturday'
    end as day_name,
    {{ month_of('date_day') }} as month_start_date,
    extract(dow from date_day) in (0, 6) as is_weekend,
    {{ dbt.datediff(local_midnight('date_day'), local_midnight(add_days('date_day', 1)), 'hour') }} as hours_in_day
from days
