-- One row per group of merged encounters, number of its merges that had arrived, and encounter: where its events count after the
-- first n merges of the group. The ledger asks by how many merges a version knows. A wave writes it anew from the merges, which are
-- few.

{{ config(
    materialized='incremental',
    incremental_strategy=replaced_whole(),
    unique_key=['hospital_id', 'group_id', 'merges_known', 'encounter_id']
) }}

with recursive group_merges as (

    select
        merges.*,
        groups.group_id,
        row_number() over (
            partition by merges.hospital_id, groups.group_id
            order by merges.received_at, merges.source_file, merges.source_position, merges.delivery_id
        ) as merge_number
    from (
        select *
        from {{ ref('int_bed_merges') }}
        where id_type = 'encounter'
        -- A merge delivered again is no other merge.
        qualify row_number() over (
            partition by hospital_id, event_id, content_hash order by received_at, source_file, source_position
        ) = 1
    ) as merges
    inner join {{ ref('int_bed_groups') }} as groups
        on merges.hospital_id = groups.hospital_id
        and merges.from_id = groups.encounter_id

),

known_merges as (

    select merges.*, known.merge_number as merges_known
    from group_merges as merges
    inner join (select distinct hospital_id, group_id, merge_number from group_merges) as known
        on merges.hospital_id = known.hospital_id
        and merges.group_id = known.group_id
        and merges.merge_number <= known.merge_number
    -- Of several contents of one event the one recorded last holds.
    qualify row_number() over (
        partition by merges.hospital_id, merges.group_id, known.merge_number, merges.event_id
        order by merges.known_at desc, merges.merge_number desc
    ) = 1

),

latest_merge as (

    select hospital_id, group_id, merges_known, from_id, to_id
    from known_merges
    qualify row_number() over (
        partition by hospital_id, group_id, merges_known, from_id order by occurred_at desc, event_id desc
    ) = 1

),

walk as (

    select hospital_id, group_id, merges_known, from_id as encounter_id, to_id as reached_id, 1 as steps
    from latest_merge
    union all
    select
        walk.hospital_id,
        walk.group_id,
        walk.merges_known,
        walk.encounter_id,
        latest_merge.to_id as reached_id,
        walk.steps + 1 as steps
    from walk
    inner join latest_merge
        on walk.hospital_id = latest_merge.hospital_id
        and walk.group_id = latest_merge.group_id
        and walk.merges_known = latest_merge.merges_known
        and walk.reached_id = latest_merge.from_id
    where walk.steps < 64

),

arrived as (

    select *, max(steps) over (partition by hospital_id, group_id, merges_known, encounter_id) as all_steps
    from walk

)

-- As in int_bed_survivors: who has not arrived after 64 merges walks in a circle, and its smallest number survives.
select hospital_id, group_id, merges_known, encounter_id, min(reached_id) as survivor_id
from arrived
where steps = all_steps
    or (all_steps >= 64 and steps > 32)
group by hospital_id, group_id, merges_known, encounter_id
