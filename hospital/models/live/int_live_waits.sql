-- One row per encounter that waited for a bed lately: from the first time it was present without one to its first bed.

with presences as (

    select
        hospital_id,
        encounter_id,
        min(case when bed_state = 'waiting' then valid_from end) as wait_started_at,
        min(case when bed_state = 'occupied' then valid_from end) as in_bed_at,
        max(case when verdict = 'ended' then occurred_at end) as left_at
    from {{ ref('int_bed_current') }}
    group by hospital_id, encounter_id

)

select
    presences.hospital_id,
    presences.encounter_id,
    stays.department_id,
    presences.wait_started_at,
    cast({{ utc_to_local('presences.wait_started_at', var('time_zone')) }} as date) as wait_date,
    presences.in_bed_at,
    presences.left_at,
    {{ minutes_between('presences.wait_started_at', 'presences.in_bed_at') }} as wait_minutes
from presences
inner join {{ ref('int_bed_current') }} as stays
    on presences.hospital_id = stays.hospital_id
    and presences.encounter_id = stays.encounter_id
    and presences.wait_started_at = stays.valid_from
    and stays.bed_state = 'waiting'
where coalesce(presences.in_bed_at >= presences.wait_started_at, true)
