-- Each counted stay in a known bed, and whether another encounter's stay in the same bed begins before it has ended: two
-- patients cannot lie in one bed.

with stays as (

    select
        movement_id,
        encounter_id,
        hospital_id,
        bed_id,
        started_at,
        ended_at,
        lead(started_at) over (partition by hospital_id, bed_id order by started_at, movement_id) as next_started_at,
        lead(encounter_id) over (partition by hospital_id, bed_id order by started_at, movement_id) as next_encounter_id
    from {{ ref('int_bed_stays') }}
    where is_counted
        and bed_id is not null

)

select
    movement_id,
    encounter_id,
    hospital_id,
    bed_id,
    next_encounter_id,
    coalesce(
        next_encounter_id <> encounter_id
        and (ended_at is null or ended_at > next_started_at),
        false
    ) as is_conflict,
    started_at,
    ended_at
from stays
where next_started_at is not null
