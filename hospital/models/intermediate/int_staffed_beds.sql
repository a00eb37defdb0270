-- Staffed beds per department and local day: as the department's version at the midnight that ends the day says.
-- The days are those of the bed stays, the last one complete before now.

with days as (

    select dim_date.date_day
    from {{ ref('dim_date') }} as dim_date
    cross join (
        select
            min(started_date) as first_day,
            max({{ add_days('as_of_date', -1) }}) as last_day
        from {{ ref('int_bed_stays') }}
        cross join {{ ref('int_clock') }}
        where is_counted
    ) as span
    where dim_date.date_day >= span.first_day and dim_date.date_day <= span.last_day

),

midnights as (

    select date_day, {{ local_midnight(add_days('date_day', 1)) }} as ends_at
    from days

)

select
    versions.department_key,
    versions.department_id,
    versions.hospital_id,
    versions.department_type,
    midnights.date_day,
    coalesce(versions.staffed_beds, 0) as staffed_beds
from midnights
inner join {{ ref('int_department_versions') }} as versions
    on {{ held_at('versions', 'midnights.ends_at') }}
