-- A warning: inpatients in a bed at midnight are those admitted so far less those discharged so far. A day on which this does
-- not hold has stays with a gap between admission and the first bed, or a bed stay whose times are damaged.
{{ config(severity='warn') }}

with changes as (

    select admission_date as event_date, 1 as inpatients
    from {{ ref('fct_patient_flow') }}
    where is_inpatient
        and is_counted
    union all
    select discharge_date as event_date, -1 as inpatients
    from {{ ref('fct_patient_flow') }}
    where is_inpatient
        and is_counted
        and discharge_date is not null

),

daily as (

    select event_date, cast(sum(inpatients) as bigint) as inpatients
    from changes
    group by event_date

),

expected as (

    select days.date_day, cast(sum(coalesce(daily.inpatients, 0)) over (order by days.date_day) as bigint) as inpatients
    from {{ ref('dim_date') }} as days
    cross join {{ ref('int_clock') }} as clock
    left join daily on days.date_day = daily.event_date
    where days.date_day < clock.as_of_date

),

counted as (

    select bed_date, count(*) as inpatients
    from {{ ref('fct_bed_day') }}
    where is_midnight_census
        and is_inpatient
    group by bed_date

)

select expected.date_day, expected.inpatients as expected_inpatients, coalesce(counted.inpatients, 0) as counted_inpatients
from expected
left join counted on expected.date_day = counted.bed_date
where expected.inpatients <> coalesce(counted.inpatients, 0)
