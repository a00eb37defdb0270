-- One row per event and encounter, of the encounters that are open or were lately: everything the ledger has to look at to place a
-- new event. An event delivered again is left out. An encounter that has ended, or never had a bed, leaves after `live_keep_days`
-- without news; news of it brings all of its events back from int_bed_events.
--
-- A wave reads this small table, the new events, and of int_bed_events two id columns to see whether an encounter that is not
-- here was here before; only then its events. Files whose ids lie apart from those asked for are not opened.

-- depends_on: {{ ref('int_bed_groups') }}
-- depends_on: {{ ref('int_live_clock') }}

{{ config(
    materialized='incremental',
    incremental_strategy=replaced_whole(),
    unique_key=['hospital_id', 'encounter_id']
) }}

{%- set columns_of_events = [
    'delivery_id', 'event_id', 'content_hash', 'part', 'hospital_id', 'encounter_id', 'merged_into_encounter_id', 'patient_id',
    'department_id', 'room_id', 'bed_id', 'prior_bed_id', 'zbe_movement_id', 'event_type', 'event_name', 'role', 'kind',
    'zbe_action', 'gender', 'age_years', 'place_order', 'occurred_at', 'known_at', 'expected_discharge_at', 'received_at',
    'source_file', 'source_position'
] %}

with arrived as (

    {{ bed_encounter_events(changes(ref('int_bed_events'))) | indent(4) }}

),

{%- if is_incremental() %}

fellows as (

    select own.hospital_id, own.encounter_id, other.encounter_id as fellow_id
    from {{ ref('int_bed_groups') }} as own
    inner join {{ ref('int_bed_groups') }} as other
        on own.hospital_id = other.hospital_id
        and own.group_id = other.group_id

),

touched as (

    select hospital_id, encounter_id
    from arrived
    union
    select fellows.hospital_id, fellows.fellow_id as encounter_id
    from arrived
    inner join fellows on arrived.hospital_id = fellows.hospital_id and arrived.encounter_id = fellows.encounter_id

),

open_encounters as (

    select
        hospital_id,
        encounter_id,
        max(occurred_at) as last_at,
        max(known_at) as last_known_at,
        max(case when role in ('depart', 'delete') or (role = 'cancel' and kind = 'admission') then occurred_at end)
            as last_end_at,
        -- Of somebody who never had a bed, such as an outpatient, the end is often not told.
        max(case when bed_id is not null then 1 else 0 end) = 1 as has_bed
    from {{ this }}
    group by hospital_id, encounter_id

),

kept as (

    select
        open_encounters.hospital_id,
        open_encounters.encounter_id,
        touched.encounter_id is not null as is_touched
    from open_encounters
    cross join {{ ref('int_live_clock') }} as clock
    left join touched
        on open_encounters.hospital_id = touched.hospital_id
        and open_encounters.encounter_id = touched.encounter_id
    where touched.encounter_id is not null
        or (open_encounters.has_bed and coalesce(open_encounters.last_end_at < open_encounters.last_at, true))
        or greatest(open_encounters.last_at, open_encounters.last_known_at)
            >= {{ dbt.dateadd('day', -1 * var('live_keep_days'), 'clock.newest_event_at') }}

),

absent as (

    select touched.hospital_id, touched.encounter_id
    from touched
    left join open_encounters
        on touched.hospital_id = open_encounters.hospital_id
        and touched.encounter_id = open_encounters.encounter_id
    where open_encounters.encounter_id is null

),

-- Whoever has more events than came just now was here before.
new_counts as (

    select hospital_id, encounter_id, count(*) as event_count
    from ({{ encounter_ids(changes(ref('int_bed_events'))) }}) as ids
    group by hospital_id, encounter_id

),

all_counts as (

    select absent.hospital_id, absent.encounter_id, count(*) as event_count
    from absent
    inner join ({{ encounter_ids(ref('int_bed_events')) }}) as ids
        on absent.hospital_id = ids.hospital_id
        and absent.encounter_id = ids.encounter_id
    group by absent.hospital_id, absent.encounter_id

),

come_back as (

    select all_counts.hospital_id, all_counts.encounter_id
    from all_counts
    left join new_counts
        on all_counts.hospital_id = new_counts.hospital_id
        and all_counts.encounter_id = new_counts.encounter_id
    where all_counts.event_count > coalesce(new_counts.event_count, 0)

),

recalled as (

    {{ bed_encounter_events("(
        select events.*
        from come_back
        inner join " ~ ref('int_bed_events') ~ " as events
            on come_back.hospital_id = events.hospital_id
            and come_back.encounter_id = events.encounter_id
        union
        select events.*
        from come_back
        inner join " ~ ref('int_bed_events') ~ " as events
            on come_back.hospital_id = events.hospital_id
            and come_back.encounter_id = events.second_encounter_id
        where events.second_encounter_id is not null
    )") | indent(4) }}

),

held as (

    select events.*, kept.is_touched
    from {{ this }} as events
    inner join kept on events.hospital_id = kept.hospital_id and events.encounter_id = kept.encounter_id

),

-- Of encounters without news nothing can have come twice.
untouched as (

    select {{ columns_of_events | join(', ') }}
    from held
    where not is_touched

),

looked_at as (

    select {{ columns_of_events | join(', ') }}
    from held
    where is_touched
    union all
    select recalled.*
    from recalled
    inner join come_back
        on recalled.hospital_id = come_back.hospital_id
        and recalled.encounter_id = come_back.encounter_id
    union all
    select * from arrived

),
{%- else %}

looked_at as (

    select * from arrived

),
{%- endif %}

single as (

    select *
    from looked_at
    qualify row_number() over (
        partition by hospital_id, encounter_id, event_id, part, content_hash
        order by received_at, source_file, source_position
    ) = 1

)

select * from single
{%- if is_incremental() %}
union all
select * from untouched
{%- endif %}
