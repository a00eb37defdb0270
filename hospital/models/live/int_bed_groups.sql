-- One row per encounter that was ever merged with another: the group of encounters (named by its smallest id) that have to be
-- looked at together. Whether a merge holds is for the ledger to say. A wave writes it anew from the merges, which are few.

{{ config(
    materialized='incremental',
    incremental_strategy=replaced_whole(),
    unique_key=['hospital_id', 'encounter_id']
) }}

with recursive links as (

    select hospital_id, from_id as encounter_id, to_id as fellow_id
    from {{ ref('int_bed_merges') }}
    where id_type = 'encounter'
    union
    select hospital_id, to_id as encounter_id, from_id as fellow_id
    from {{ ref('int_bed_merges') }}
    where id_type = 'encounter'

),

reached as (

    select hospital_id, encounter_id, fellow_id
    from links
    union
    select reached.hospital_id, reached.encounter_id, links.fellow_id
    from reached
    inner join links on reached.hospital_id = links.hospital_id and reached.fellow_id = links.encounter_id

)

select
    hospital_id,
    encounter_id,
    -- An encounter reaches itself by way of its fellow.
    min(fellow_id) as group_id
from reached
group by hospital_id, encounter_id
