-- One row per bed encounter and local day: the bed day belongs to the department where the patient is at the midnight that
-- ends the day. The admission day counts, the discharge day does not, in and out on one day is one day (Noridian; SSA POMS;
-- Queensland Health). Only days that are over are counted: a patient still in has no row for today. At most `max_stay_days`
-- days of one bed stay.

with stays as (

    select
        stays.*,
        {{ dbt.datediff('stays.started_date', 'coalesce(stays.ended_date, clock.as_of_date)', 'day') }} as midnights
    from {{ ref('int_bed_stays') }} as stays
    cross join {{ ref('int_clock') }} as clock
    where stays.is_counted

),

nights as (

    select
        stays.encounter_id,
        stays.patient_id,
        stays.hospital_id,
        stays.department_id,
        stays.room_id,
        stays.bed_id,
        stays.bed_type,
        stays.encounter_class,
        stays.is_inpatient,
        stays.is_cot,
        stays.is_inferred,
        stays.started_at,
        {{ add_days('stays.started_date', 'days.day_offset') }} as bed_date,
        true as is_midnight_census
    from stays
    inner join {{ ref('int_stay_days') }} as days
        on least(cast(stays.midnights as bigint), {{ var('max_stay_days') }}) = days.stay_days

),

-- Two stays of one encounter cannot both hold a midnight; where the feed says so, the one begun last does.
one_per_night as (

    select *
    from nights
    qualify row_number() over (partition by encounter_id, bed_date order by started_at desc, bed_id desc) = 1

),

-- In and out on one local day: one bed day in the last department, but no midnight.
same_day as (

    select
        last_stays.encounter_id,
        last_stays.patient_id,
        last_stays.hospital_id,
        last_stays.department_id,
        last_stays.room_id,
        last_stays.bed_id,
        last_stays.bed_type,
        last_stays.encounter_class,
        last_stays.is_inpatient,
        last_stays.is_cot,
        last_stays.is_inferred,
        last_stays.started_at,
        last_stays.started_date as bed_date,
        false as is_midnight_census
    from (
        select *
        from stays
        where ended_at is not null
        qualify row_number() over (partition by encounter_id order by started_at desc, movement_id desc) = 1
    ) as last_stays
    inner join {{ ref('int_encounters') }} as encounters
        on last_stays.encounter_id = encounters.encounter_id
    left join (select distinct encounter_id from one_per_night) as with_nights
        on last_stays.encounter_id = with_nights.encounter_id
    where encounters.left_at is not null
        and with_nights.encounter_id is null

),

bed_days as (

    select * from one_per_night
    union all
    select * from same_day

)

select
    {{ surrogate_key(['bed_days.encounter_id', 'cast(bed_days.bed_date as varchar)']) }} as bed_day_key,
    coalesce(patients.patient_key, {{ unknown_key() }}) as patient_key,
    coalesce(departments.department_key, {{ unknown_key() }}) as department_key,
    coalesce(hospitals.hospital_key, {{ unknown_key() }}) as hospital_key,
    bed_days.encounter_id,
    bed_days.patient_id,
    bed_days.hospital_id,
    bed_days.department_id,
    bed_days.room_id,
    bed_days.bed_id,
    bed_days.bed_type,
    bed_days.encounter_class,
    {{ age_band(age_years('patients.date_of_birth', 'bed_days.bed_date')) }} as age_band,
    coalesce(patients.gender, 'unknown') as gender,
    bed_days.is_inpatient,
    bed_days.is_cot,
    bed_days.is_inferred,
    bed_days.is_midnight_census,
    bed_days.bed_date
from bed_days
left join {{ ref('dim_patient') }} as patients
    on bed_days.patient_id = patients.patient_id
    and {{ held_at('patients', 'bed_days.started_at') }}
left join {{ ref('dim_department') }} as departments
    on bed_days.department_id = departments.department_id
    and {{ held_at('departments', 'bed_days.started_at') }}
left join {{ ref('dim_hospital') }} as hospitals on bed_days.hospital_id = hospitals.hospital_id
