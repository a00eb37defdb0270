-- One row per event of the current version of each encounter that is open or was lately: what is believed now, small enough to be
-- read whole. An encounter without a bed leaves after `live_keep_days` without news; the ledger keeps it.
--
-- A wave reads this table and the versions that the wave added to the ledger.

{{ config(
    materialized='incremental',
    incremental_strategy=replaced_whole(),
    unique_key=['hospital_id', 'encounter_id']
) }}

with news as (

    select *
    from {{ changes(ref('int_bed_ledger')) }}
    qualify rank() over (partition by hospital_id, encounter_id order by version desc) = 1

),

{%- if is_incremental() %}

candidates as (

    select * from news
    union all
    select held.*
    from {{ this }} as held
    left join (select distinct hospital_id, encounter_id from news) as touched
        on held.hospital_id = touched.hospital_id
        and held.encounter_id = touched.encounter_id
    where touched.encounter_id is null

),
{%- else %}

candidates as (

    select * from news

),
{%- endif %}

kept as (

    select candidates.hospital_id, candidates.encounter_id
    from candidates
    cross join {{ ref('int_live_clock') }} as clock
    group by candidates.hospital_id, candidates.encounter_id, clock.newest_event_at
    having bool_or(candidates.bed_state in ('occupied', 'held') and candidates.valid_to is null)
        or coalesce(
            max(greatest(candidates.occurred_at, candidates.recorded_from, coalesce(candidates.valid_to, candidates.occurred_at)))
                >= {{ dbt.dateadd('day', -1 * var('live_keep_days'), 'clock.newest_event_at') }},
            true
        )

)

select candidates.*
from candidates
inner join kept
    on candidates.hospital_id = kept.hospital_id
    and candidates.encounter_id = kept.encounter_id
