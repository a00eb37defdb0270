-- One row per hospital and local day: who came, who left and who lay in a bed at the midnight that ends the day, by the newest
-- states of encounters and bed stays. A row that is withheld counts nowhere; nothing is inferred for it.

with span as (

    select
        least(
            (select min(started_date) from {{ ref('stg_hospital__transfers') }}),
            (select min(arrived_date) from {{ ref('stg_hospital__encounters') }})
        ) as first_day,
        newest_extract_date as last_day
    from {{ ref('int_clock') }}

),

grid as (

    select hospitals.hospital_id, days.date_day
    from {{ ref('stg_hospital__hospitals') }} as hospitals
    cross join span
    inner join {{ ref('dim_date') }} as days on days.date_day between span.first_day and span.last_day

),

nights as (

    select hospital_id, night_date as date_day, count(*) as midnight_census
    from {{ ref('int_bed_nights') }}
    group by hospital_id, night_date

),

arrivals as (

    select hospital_id, arrived_date as date_day, count(*) as ed_arrivals
    from {{ ref('stg_hospital__encounters') }}
    where triaged_at is not null or encounter_class = 'emergency'
    group by hospital_id, arrived_date

),

ed_departures as (

    select
        hospital_id,
        cast({{ utc_to_local('departed_ed_at', var('time_zone')) }} as date) as date_day,
        count(*) filter (where discharge_disposition = 'lwbs') as left_without_being_seen,
        count(*) filter (
            where not has_ambiguous_time and {{ minutes_between('admit_decision_at', 'departed_ed_at') }} > 240
        ) as boarded_over_4_hours
    from {{ ref('stg_hospital__encounters') }}
    where departed_ed_at is not null
    group by hospital_id, cast({{ utc_to_local('departed_ed_at', var('time_zone')) }} as date)

),

admissions as (

    select hospital_id, admitted_date as date_day, count(*) as admissions
    from {{ ref('stg_hospital__encounters') }}
    where admitted_at is not null
    group by hospital_id, admitted_date

),

discharges as (

    select
        hospital_id,
        discharged_date as date_day,
        count(*) as discharges,
        count(*) filter (where encounter_class = 'inpatient') as inpatient_discharges,
        cast(sum(
            case
                when encounter_class = 'inpatient'
                then greatest(1, {{ dbt.datediff('admitted_date', 'discharged_date', 'day') }})
            end
        ) as bigint) as inpatient_los_days
    from {{ ref('stg_hospital__encounters') }}
    where admitted_at is not null and discharged_at is not null
    group by hospital_id, discharged_date

)

select
    grid.hospital_id,
    grid.date_day,
    coalesce(nights.midnight_census, 0) as midnight_census,
    coalesce(admissions.admissions, 0) as admissions,
    coalesce(discharges.discharges, 0) as discharges,
    coalesce(discharges.inpatient_discharges, 0) as inpatient_discharges,
    coalesce(discharges.inpatient_los_days, 0) as inpatient_los_days,
    coalesce(arrivals.ed_arrivals, 0) as ed_arrivals,
    coalesce(ed_departures.left_without_being_seen, 0) as left_without_being_seen,
    coalesce(ed_departures.boarded_over_4_hours, 0) as boarded_over_4_hours
from grid
left join nights on grid.hospital_id = nights.hospital_id and grid.date_day = nights.date_day
left join arrivals on grid.hospital_id = arrivals.hospital_id and grid.date_day = arrivals.date_day
left join ed_departures on grid.hospital_id = ed_departures.hospital_id and grid.date_day = ed_departures.date_day
left join admissions on grid.hospital_id = admissions.hospital_id and grid.date_day = admissions.date_day
left join discharges on grid.hospital_id = discharges.hospital_id and grid.date_day = discharges.date_day
