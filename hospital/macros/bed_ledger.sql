{#-
    What the ledger's models share: how an event of a feed becomes events of encounters, how models that keep only what is open
    replace their table, and the censuses.
-#}

{#- Incremental strategy of a small table that is written anew with every wave, made of itself and what is new. -#}
{% macro replaced_whole() -%}
    {{ return('insert_overwrite' if target.type == 'wardlake' else 'delete+insert') }}
{%- endmacro %}

{#-
    Of versions of encounters (`relation` has the columns of int_bed_ledger) the newest of each, if the encounter is open or was
    lately: one without a bed is not any more after `live_keep_days` without news.
-#}
{% macro bed_current_rows(relation) -%}
with versions as (

    -- One pass over the events: the rest is a matter of versions.
    select
        hospital_id,
        encounter_id,
        version,
        max(case when bed_state in ('occupied', 'held') and valid_to is null then 1 else 0 end) as is_in_bed,
        max(greatest(occurred_at, recorded_from, coalesce(valid_to, occurred_at))) as last_at
    from {{ relation }}
    group by hospital_id, encounter_id, version

),

newest as (

    -- Summed up, not sorted: a sort of texts that share their bytes counts these with every row. `is_in_bed` is 1 or 0, for the first of
    -- many numbers is cheaper to keep than the first of many truths.
    select
        hospital_id,
        encounter_id,
        max(version) as version,
        {{ newest_value('is_in_bed', 'version') }} as is_in_bed,
        {{ newest_value('last_at', 'version') }} as last_at
    from versions
    group by hospital_id, encounter_id

),

kept as (

    select newest.hospital_id, newest.encounter_id, newest.version
    from newest
    cross join {{ ref('int_live_clock') }} as clock
    where newest.is_in_bed = 1
        or coalesce(
            newest.last_at >= {{ dbt.dateadd('day', -1 * var('live_keep_days'), 'clock.newest_event_at') }},
            true
        )

)

-- What is kept is less than the events: engines that hold the left side of a join in memory hold that.
select events.*
from kept
inner join {{ relation }} as events
    on kept.hospital_id = events.hospital_id
    and kept.encounter_id = events.encounter_id
    and kept.version = events.version
{%- endmacro %}

{#- Of the rows of a group the value of the one that is highest in `by`. -#}
{% macro newest_value(column, by) -%}
    {{ return(adapter.dispatch('newest_value', 'hospital')(column, by)) }}
{%- endmacro %}

{% macro default__newest_value(column, by) -%}
    first_value({{ column }} order by {{ by }} desc)
{%- endmacro %}

{% macro duckdb__newest_value(column, by) -%}
    arg_max({{ column }}, {{ by }})
{%- endmacro %}

{#- The trigger that an event of `relation` counts by: one that updates or cancels a numbered movement (ZBE) stands for the event it changes. -#}
{% macro told_trigger(relation) -%}
case
        when {{ relation }}.zbe_action in ('UPDATE', 'CANCEL') then coalesce({{ relation }}.zbe_original_event, {{ relation }}.event_type)
        else {{ relation }}.event_type
    end
{%- endmacro %}

{#-
    What a bed is called within its hospital. Extracts call it by an id of its own (`known` are the columns of stg_hospital__beds, joined by
    hospital and bed_id); elsewhere a bed is its point of care, room and bed, and its facility where that is not the hospital (HL7, data
    type PL): bed A stands in every room.
-#}
{% macro bed_key(place, known) -%}
case
            when {{ known }}.bed_id is not null then {{ known }}.bed_id
            else coalesce({{ place }}.department_id, '') || '^' || coalesce({{ place }}.room_id, '') || '^' || {{ place }}.bed_id
                || coalesce('^' || {{ place }}.facility, '')
        end
{%- endmacro %}

{#-
    Events of `relation` (columns of int_bed_events) as events of encounters: those that say something about a bed. A swap is a move of
    two encounters, a merge of encounters concerns both of them.
-#}
{% macro bed_encounter_events(relation) -%}
with told_events as (

    select
        events.*,
        triggers.event_type as told_event_type,
        triggers.event_name,
        triggers.role,
        triggers.kind,
        triggers.place_order
    from {{ relation }} as events
    inner join {{ ref('int_adt_triggers') }} as triggers on triggers.event_type = {{ told_trigger('events') }}
    where triggers.role <> 'none'
        and events.withheld is null
        and events.hospital_id is not null
        and events.occurred_at is not null
        -- An update that names no place moves nobody.
        and (triggers.role <> 'update' or events.department_id is not null or events.bed_id is not null)

)

select
    delivery_id,
    event_id,
    content_hash,
    1 as part,
    hospital_id,
    encounter_id,
    cast(null as varchar) as merged_into_encounter_id,
    patient_id,
    facility,
    department_id,
    room_id,
    bed_id,
    prior_department_id,
    prior_room_id,
    prior_bed_id,
    zbe_movement_id,
    told_event_type as event_type,
    event_name,
    case role when 'swap' then 'move' else role end as role,
    kind,
    zbe_action,
    gender,
    age_years,
    place_order,
    occurred_at,
    known_at,
    expected_discharge_at,
    received_at,
    source_file,
    source_position
from told_events
where encounter_id is not null
    and (role <> 'merge' or merged_encounter_id is not null)

union all

select
    delivery_id,
    event_id,
    content_hash,
    2 as part,
    hospital_id,
    second_encounter_id as encounter_id,
    case when merged_encounter_id is not null then encounter_id end as merged_into_encounter_id,
    second_patient_id as patient_id,
    second_facility as facility,
    second_department_id as department_id,
    second_room_id as room_id,
    second_bed_id as bed_id,
    cast(null as varchar) as prior_department_id,
    cast(null as varchar) as prior_room_id,
    cast(null as varchar) as prior_bed_id,
    zbe_movement_id,
    told_event_type as event_type,
    event_name,
    case role when 'swap' then 'move' else 'merged' end as role,
    kind,
    zbe_action,
    cast(null as varchar) as gender,
    cast(null as integer) as age_years,
    place_order,
    occurred_at,
    known_at,
    expected_discharge_at,
    received_at,
    source_file,
    source_position
from told_events
where second_encounter_id is not null
    and role in ('swap', 'merge', 'reassign')
    and second_encounter_id <> coalesce(encounter_id, '')
{%- endmacro %}

{#-
    The number under which each merged one lives on, from merges (columns of int_bed_merges). Each number is followed from merge
    to merge. Who has not arrived after 64 merges walks in a circle, and has walked all of it since the 32nd.
-#}
{% macro survivors(merges) -%}
with recursive told_merges as (

    select
        *,
        row_number() over (
            partition by hospital_id, id_type, event_id
            order by known_at desc, received_at desc, source_file desc, source_position desc
        ) as telling
    from {{ merges }}

),

-- Of several contents of one event the one recorded last holds. Those that share no number are two events: senders give an id twice.
held_merges as (

    select told.*
    from told_merges as told
    left join told_merges as righted
        on told.hospital_id = righted.hospital_id
        and told.id_type = righted.id_type
        and told.event_id = righted.event_id
        and told.telling > righted.telling
        and (righted.from_id in (told.from_id, told.to_id) or righted.to_id in (told.from_id, told.to_id))
    where righted.event_id is null

),

latest_merge as (

    select hospital_id, id_type, from_id, to_id
    from held_merges
    qualify row_number() over (
        partition by hospital_id, id_type, from_id order by occurred_at desc, event_id desc
    ) = 1

),

walk as (

    select hospital_id, id_type, from_id, to_id as reached_id, 1 as steps
    from latest_merge
    union all
    select walk.hospital_id, walk.id_type, walk.from_id, latest_merge.to_id as reached_id, walk.steps + 1 as steps
    from walk
    inner join latest_merge
        on walk.hospital_id = latest_merge.hospital_id
        and walk.id_type = latest_merge.id_type
        and walk.reached_id = latest_merge.from_id
    where walk.steps < 64

),

arrived as (

    select *, max(steps) over (partition by hospital_id, id_type, from_id) as all_steps
    from walk

)

select
    hospital_id,
    id_type,
    from_id,
    min(reached_id) as survivor_id,
    max(all_steps) >= 64 as is_cycle
from arrived
where steps = all_steps
    or (all_steps >= 64 and steps > 32)
group by hospital_id, id_type, from_id
{%- endmacro %}

{#- The encounters of the query `ids` (hospital_id, encounter_id), and those that were ever merged with one of them. -#}
{% macro with_fellows(ids) -%}
select hospital_id, encounter_id
from (
    {{ ids | indent(4) }}
) as named
union
select named.hospital_id, fellows.encounter_id
from (
    {{ ids | indent(4) }}
) as named
inner join {{ ref('int_bed_groups') }} as own
    on named.hospital_id = own.hospital_id
    and named.encounter_id = own.encounter_id
inner join {{ ref('int_bed_groups') }} as fellows
    on own.hospital_id = fellows.hospital_id
    and own.group_id = fellows.group_id
{%- endmacro %}

{#- The encounters that each event of `relation` (columns of int_bed_events) names. -#}
{% macro encounter_ids(relation) -%}
select hospital_id, encounter_id
from {{ relation }}
where encounter_id is not null
union all
select hospital_id, second_encounter_id as encounter_id
from {{ relation }}
where second_encounter_id is not null
{%- endmacro %}

{#-
    Who is where at an instant, by what is believed now. `at` is an SQL expression of a UTC instant:

        wardlake show --inline "select department_id, count(*) from ({{ census_at("timestamp '2026-01-05 12:00:00'") }}) group by 1"
-#}
{% macro census_at(at) -%}
    {{ census(at, ref('int_bed_ledger'), ref('int_bed_survivors')) }}
{%- endmacro %}

{#-
    Who was where at an instant, by what the hospital knew at another: an event counts from when it was recorded (`recorded_from`),
    whenever it arrived here. Merges of patients count from when they were known.

        wardlake show --inline "{{ census_as_known("timestamp '2026-01-05 12:00:00'", "timestamp '2026-01-05 12:05:00'") }}"
-#}
{% macro census_as_known(at, known_at) -%}
    {{ census(
        at,
        "(select * from " ~ ref('int_bed_ledger') ~ " where recorded_from <= " ~ known_at ~ ")",
        "(" ~ survivors("(select * from " ~ ref('int_bed_merges') ~ " where known_at <= " ~ known_at ~ ")") ~ ")"
    ) }}
{%- endmacro %}

{#-
    Who was where at an instant, by what had arrived here at another: what a screen showed then. An event that was held up by an outage
    counts from its arrival (`arrived_from`), whenever it was recorded; so do merges of patients. Versions of ledgers of before arrivals
    were kept count from when they were recorded.

        wardlake show --inline "{{ census_as_shown("timestamp '2026-01-05 12:00:00'", "timestamp '2026-01-05 12:05:00'") }}"
-#}
{% macro census_as_shown(at, shown_at) -%}
    {{ census(
        at,
        "(select * from " ~ ref('int_bed_ledger') ~ " where coalesce(arrived_from, recorded_from) <= " ~ shown_at ~ ")",
        "(" ~ survivors("(select * from " ~ ref('int_bed_merges') ~ " where received_at <= " ~ shown_at ~ ")") ~ ")"
    ) }}
{%- endmacro %}

{#-
    The stays at an instant in the newest version of each encounter of `ledger` (columns of int_bed_ledger), with the patients that
    `survivors` (columns of int_bed_survivors) lets live on.
-#}
{% macro census(at, ledger, survivors) -%}
    select
        stays.hospital_id,
        stays.encounter_id,
        stays.patient_id,
        coalesce(survivors.survivor_id, stays.patient_id) as surviving_patient_id,
        stays.facility,
        stays.department_id,
        stays.room_id,
        stays.bed_id,
        stays.bed_state,
        stays.event_type,
        stays.valid_from,
        stays.valid_to
    from {{ ledger }} as stays
    inner join (
        select hospital_id, encounter_id, max(version) as version
        from {{ ledger }} as versions
        group by hospital_id, encounter_id
    ) as newest
        on stays.hospital_id = newest.hospital_id
        and stays.encounter_id = newest.encounter_id
        and stays.version = newest.version
    left join {{ survivors }} as survivors
        on stays.hospital_id = survivors.hospital_id
        and stays.patient_id = survivors.from_id
        and survivors.id_type = 'patient'
    where stays.bed_state is not null
        and stays.valid_from <= {{ at }}
        and (stays.valid_to is null or stays.valid_to > {{ at }})
{%- endmacro %}

{#- The ids and texts of an ADT event, whichever feed it came by. -#}
{% macro bed_event_columns() -%}
{{ as_text('event_id') }} as event_id,
upper({{ as_text('event_type') }}) as event_type,
{{ as_text('hospital_id') }} as hospital_id,
{{ as_text('patient_id') }} as patient_id,
{{ as_text('encounter_id') }} as encounter_id,
{{ as_text('facility') }} as facility,
{{ as_text('department_id') }} as department_id,
{{ as_text('room_id') }} as room_id,
{{ as_text('bed_id') }} as bed_id,
{{ as_text('prior_department_id') }} as prior_department_id,
{{ as_text('prior_room_id') }} as prior_room_id,
{{ as_text('prior_bed_id') }} as prior_bed_id,
{{ as_text('merged_into_patient_id') }} as merged_into_patient_id,
{{ as_text('merged_patient_id') }} as merged_patient_id,
{{ as_text('merged_encounter_id') }} as merged_encounter_id,
{{ as_text('second_patient') }} as second_patient,
{{ as_text('zbe_movement_id') }} as zbe_movement_id,
upper({{ as_text('zbe_action') }}) as zbe_action,
upper({{ as_text('zbe_original_event') }}) as zbe_original_event
{%- endmacro %}
