-- One row per department and local day: staffed beds, who entered and left its beds, and who lay there at the midnight that ends
-- the day, by the newest states of encounters and bed stays. A row that is withheld counts nowhere; nothing is inferred for it.

with days as (

    select date_day, {{ local_midnight(add_days('date_day', 1)) }} as ends_at
    from (
        select distinct date_day
        from {{ ref('mart_operational__hospital_day') }}
    ) as hospital_days

),

grid as (

    select
        versions.department_id,
        versions.hospital_id,
        versions.department_type,
        coalesce(versions.staffed_beds, 0) as staffed_beds,
        days.date_day
    from days
    inner join {{ ref('int_department_versions') }} as versions on {{ held_at('versions', 'days.ends_at') }}

),

nights as (

    select
        department_id,
        night_date as date_day,
        count(*) as midnight_census,
        count(*) filter (where patient_class = 'inpatient') as census_inpatient,
        count(*) filter (where patient_class = 'observation') as census_observation,
        count(*) filter (where patient_class = 'newborn') as census_newborn
    from {{ ref('int_bed_nights') }}
    group by department_id, night_date

),

stays as (

    select movement_id, encounter_id, department_id, movement_type, started_at, started_date
    from {{ ref('int_bed_stays') }}
    where not is_inferred

),

entries as (

    select
        department_id,
        started_date as date_day,
        count(*) filter (where movement_type = 'admit') as admissions,
        count(*) filter (where movement_type <> 'admit') as transfers_in
    from stays
    group by department_id, started_date

),

last_stays as (

    select encounter_id, department_id
    from stays
    qualify row_number() over (partition by encounter_id order by started_at desc, movement_id desc) = 1

),

discharges as (

    select last_stays.department_id, encounters.discharged_date as date_day, count(*) as discharges
    from {{ ref('stg_hospital__encounters') }} as encounters
    inner join last_stays on encounters.encounter_id = last_stays.encounter_id
    where encounters.discharged_at is not null
    group by last_stays.department_id, encounters.discharged_date

)

select
    grid.department_id,
    grid.hospital_id,
    grid.department_type,
    grid.date_day,
    grid.staffed_beds,
    coalesce(nights.midnight_census, 0) as midnight_census,
    coalesce(nights.census_inpatient, 0) as census_inpatient,
    coalesce(nights.census_observation, 0) as census_observation,
    coalesce(nights.census_newborn, 0) as census_newborn,
    coalesce(entries.admissions, 0) as admissions,
    coalesce(entries.transfers_in, 0) as transfers_in,
    coalesce(discharges.discharges, 0) as discharges
from grid
left join nights on grid.department_id = nights.department_id and grid.date_day = nights.date_day
left join entries on grid.department_id = entries.department_id and grid.date_day = entries.date_day
left join discharges on grid.department_id = discharges.department_id and grid.date_day = discharges.date_day
