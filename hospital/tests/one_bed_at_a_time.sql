-- A patient's counted bed stays of one encounter follow one another: none begins before the one before it has ended.

select encounter_id, movement_id
from (
    select
        encounter_id,
        movement_id,
        ended_at,
        lead(started_at) over (partition by encounter_id order by started_at, movement_id) as next_started_at
    from {{ ref('int_bed_stays') }}
    where is_counted
) as stays
where next_started_at is not null
    and (ended_at is null or ended_at > next_started_at)
