-- The bed ledger: one row per encounter, version and event, with what the event came to. A version is what was believed of an
-- encounter from `recorded_from` until its next version: each event that arrives makes one, worked out from all events that had
-- arrived by then. Rows are only ever added. What was known when is that way a matter of the events and the order of their arrival
-- alone, not of how they were cut into waves; what is believed in the end does not depend on the order either.
--
-- How the events of an encounter are read, in whatever order they came:
-- 1. Of several contents of one event id the one recorded last holds, and of several events of one numbered movement (ZBE).
-- 2. An encounter merged into another gives its events to it.
-- 3. A cancel takes back the latest event of its kind that happened before it and was not taken back; brackets are matched so.
--    A deleted visit (A23) loses every event up to the deletion.
-- 4. What is left is put in the order in which it happened. Admission and registration begin a presence, a discharge ends it, moves,
--    leaves and returns need one. An encounter without any admission begins with its first move: the feed may have begun later.
-- 5. An event that fits nowhere is not placed and says why in `finding`.
--
-- A wave reads int_bed_open_events and the new events, and appends versions of the encounters that these touch.

-- depends_on: {{ ref('int_bed_open_events') }}

{{ config(materialized='incremental', incremental_strategy='append') }}

{%- set of_version = 'hospital_id, group_id, version' %}
{%- set of_encounter = of_version ~ ', encounter_id' %}

with recursive new_events as (

    select *
    from (
        {{ bed_encounter_events(changes(ref('int_bed_events'))) | indent(8) }}
    ) as events

),

touched as (

    select distinct
        new_events.hospital_id,
        coalesce(groups.group_id, new_events.encounter_id) as group_id
    from new_events
    left join {{ ref('int_bed_groups') }} as groups
        on new_events.hospital_id = groups.hospital_id
        and new_events.encounter_id = groups.encounter_id

),

{%- if is_incremental() %}

known_events as (

    select * from {{ ref('int_bed_open_events') }}

),
{%- else %}

known_events as (

    select *
    from new_events
    qualify row_number() over (
        partition by hospital_id, encounter_id, event_id, part, content_hash
        order by received_at, source_file, source_position
    ) = 1

),
{%- endif %}

grouped as (

    select known_events.*, touched.group_id
    from known_events
    left join {{ ref('int_bed_groups') }} as groups
        on known_events.hospital_id = groups.hospital_id
        and known_events.encounter_id = groups.encounter_id
    inner join touched
        on known_events.hospital_id = touched.hospital_id
        and coalesce(groups.group_id, known_events.encounter_id) = touched.group_id

),

-- The nth event to arrive makes version n. It cannot have been known before those that had arrived: recorded times never go back.
in_order_of_arrival as (

    select
        grouped.*,
        new_deliveries.delivery_id is not null as is_new,
        dense_rank() over (
            partition by grouped.hospital_id, grouped.group_id
            order by grouped.received_at, grouped.source_file, grouped.source_position, grouped.delivery_id
        ) as arrival_number,
        max(grouped.known_at) over (
            partition by grouped.hospital_id, grouped.group_id
            order by grouped.received_at, grouped.source_file, grouped.source_position, grouped.delivery_id
        ) as recorded_from
    from grouped
    left join (select distinct delivery_id from new_events) as new_deliveries
        on grouped.delivery_id = new_deliveries.delivery_id

),

versions as (

    select hospital_id, group_id, version, recorded_from
    from (
        select
            hospital_id,
            group_id,
            arrival_number as version,
            recorded_from,
            max(case when is_new then 1 else 0 end) over (
                partition by hospital_id, group_id order by arrival_number
            ) as is_since_new,
            lead(recorded_from) over (partition by hospital_id, group_id order by arrival_number) as next_recorded_from
        from (
            select
                hospital_id,
                group_id,
                arrival_number,
                max(recorded_from) as recorded_from,
                bool_or(is_new) as is_new
            from in_order_of_arrival
            group by hospital_id, group_id, arrival_number
        ) as arrivals
    ) as numbered
    -- Of versions that begin at one instant nobody ever saw any but the last.
    where is_since_new = 1
        and (next_recorded_from is null or next_recorded_from > recorded_from)

),

-- 1. What each version knows of each event.
known_by_version as (

    select versions.version, versions.recorded_from as version_recorded_from, events.*
    from versions
    inner join in_order_of_arrival as events
        on versions.hospital_id = events.hospital_id
        and versions.group_id = events.group_id
        and versions.version >= events.arrival_number

),

newest_contents as (

    select *
    from known_by_version
    qualify row_number() over (
        partition by {{ of_version }}, event_id, part
        order by known_at desc, arrival_number desc
    ) = 1

),

newest_movements as (

    select
        *,
        count(*) over (partition by {{ of_version }}, coalesce(zbe_movement_id, delivery_id), part) as movement_events
    from newest_contents
    qualify row_number() over (
        partition by {{ of_version }}, coalesce(zbe_movement_id, delivery_id), part
        order by
            known_at desc,
            case zbe_action when 'CANCEL' then 2 when 'UPDATE' then 1 else 0 end desc,
            event_id desc
    ) = 1

),

-- 2. The encounter each one counts for.
merges as (

    select
        hospital_id,
        group_id,
        version,
        encounter_id as from_id,
        merged_into_encounter_id as to_id
    from newest_movements
    where role = 'merged'
        and merged_into_encounter_id is not null
    qualify row_number() over (
        partition by {{ of_encounter }} order by occurred_at desc, event_id desc
    ) = 1

),

merge_walk as (

    select hospital_id, group_id, version, from_id, to_id as reached_id, 1 as steps
    from merges
    union all
    select walk.hospital_id, walk.group_id, walk.version, walk.from_id, merges.to_id as reached_id, walk.steps + 1 as steps
    from merge_walk as walk
    inner join merges
        on walk.hospital_id = merges.hospital_id
        and walk.group_id = merges.group_id
        and walk.version = merges.version
        and walk.reached_id = merges.from_id
    where walk.steps < 64

),

surviving_encounters as (

    select hospital_id, group_id, version, from_id, min(reached_id) as survivor_id
    from (
        select *, max(steps) over (partition by {{ of_version }}, from_id) as all_steps
        from merge_walk
    ) as walked
    where steps = all_steps
        or (all_steps >= 64 and steps > 32)
    group by hospital_id, group_id, version, from_id

),

placed_in_encounter as (

    select
        events.version,
        events.version_recorded_from as recorded_from,
        events.hospital_id,
        events.group_id,
        -- The merge itself stays with the encounter that ends by it, which so keeps a version that says where it went.
        case when events.role = 'merged' then events.encounter_id
            else coalesce(survivors.survivor_id, events.encounter_id) end as encounter_id,
        events.delivery_id,
        events.event_id,
        events.part,
        events.merged_into_encounter_id,
        events.patient_id,
        events.department_id,
        events.room_id,
        events.bed_id,
        events.prior_bed_id,
        events.event_type,
        events.event_name,
        events.role,
        events.kind,
        events.gender,
        events.age_years,
        events.place_order,
        events.occurred_at,
        events.expected_discharge_at,
        events.received_at,
        coalesce(events.zbe_action = 'CANCEL' and events.zbe_movement_id is not null, false) as is_movement_cancelled,
        coalesce(events.zbe_action = 'CANCEL' and events.zbe_movement_id is not null, false)
            and events.movement_events = 1 as is_unknown_movement
    from newest_movements as events
    left join surviving_encounters as survivors
        on events.hospital_id = survivors.hospital_id
        and events.group_id = survivors.group_id
        and events.version = survivors.version
        and events.encounter_id = survivors.from_id

),

-- 3. What was taken back.
undeleted as (

    select
        *,
        is_movement_cancelled
            or coalesce(
                role <> 'delete' and role <> 'merged'
                and occurred_at <= max(case when role = 'delete' then occurred_at end) over (
                    partition by {{ of_encounter }}
                ),
                false
            ) as is_taken_back
    from placed_in_encounter

),

brackets as (

    select
        *,
        sum(case when is_taken_back then 0 when role = 'cancel' then -1 else 1 end) over (
            partition by {{ of_encounter }}, kind
            order by occurred_at, case when role = 'cancel' then 1 else 0 end, event_id, part
            rows between unbounded preceding and current row
        ) as level
    from undeleted

),

depths as (

    -- A cancel that finds nothing to take back does not reach for what comes later.
    select
        *,
        level - least(0, min(level) over (
            partition by {{ of_encounter }}, kind
            order by occurred_at, case when role = 'cancel' then 1 else 0 end, event_id, part
            rows between unbounded preceding and current row
        )) as depth
    from brackets

),

matched as (

    select
        *,
        is_taken_back or coalesce(
            role <> 'cancel' and min(depth) over (
                partition by {{ of_encounter }}, kind
                order by occurred_at, case when role = 'cancel' then 1 else 0 end, event_id, part
                rows between 1 following and unbounded following
            ) < depth,
            false
        ) as is_void,
        is_unknown_movement or (
            role = 'cancel' and not is_taken_back and coalesce(lag(depth) over (
                partition by {{ of_encounter }}, kind
                order by occurred_at, case when role = 'cancel' then 1 else 0 end, event_id, part
            ), 0) = 0
        ) as is_idle_cancel
    from depths

),

-- 4. What is left, in the order in which it happened.
candidates as (

    select
        *,
        not is_void and role in ('register', 'admit', 'move', 'leave', 'return', 'depart') as is_candidate,
        first_value(patient_id) over (
            partition by {{ of_encounter }}
            order by
                case when patient_id is null then 1 else 0 end,
                case when role in ('merge', 'reassign') then 0 else 1 end,
                occurred_at desc,
                event_id desc
        ) as encounter_patient_id,
        max(gender) over (partition by {{ of_encounter }}) as encounter_gender,
        max(age_years) over (partition by {{ of_encounter }}) as encounter_age_years
    from matched

),

sequenced as (

    select
        *,
        row_number() over (
            partition by {{ of_encounter }}, is_candidate order by occurred_at, place_order, event_id, part
        ) as sequence
    from candidates

),

openings as (

    select
        *,
        role in ('register', 'admit') as is_admission,
        -- The first move of an encounter that was never admitted.
        coalesce(
            max(case when is_candidate and role in ('register', 'admit') then 1 else 0 end) over (
                partition by {{ of_encounter }}
            ) = 0
            and role in ('move', 'leave', 'return')
            and sequence = min(case when is_candidate and role in ('move', 'leave', 'return') then sequence end) over (
                partition by {{ of_encounter }}
            ),
            false
        ) as is_unadmitted
    from sequenced

),

presences as (

    -- Odd: present before the event. Even: discharged before it. NULL: neither.
    select
        *,
        max(
            case
                when is_admission or is_unadmitted then sequence * 2 + 1
                when role = 'depart' then sequence * 2
            end
        ) over (
            partition by {{ of_encounter }}, is_candidate
            order by sequence
            rows between unbounded preceding and 1 preceding
        ) as last_turn
    from openings

),

placed as (

    select
        *,
        is_candidate and (is_admission or is_unadmitted or coalesce(last_turn % 2 = 1, false)) as is_placed,
        case
            when is_idle_cancel then 'cancel_without_event'
            when not is_candidate or is_admission then null
            when is_unadmitted then 'never_admitted'
            when last_turn % 2 = 1 then null
            when role = 'depart' and last_turn is not null then 'discharged_twice'
            when role = 'depart' then 'discharged_without_stay'
            when last_turn is not null then 'moved_after_discharge'
            else 'moved_before_admission'
        end as finding
    from presences

),

located as (

    -- An event that names no place happens where the patient is; so does a discharge, whatever place it names.
    select
        *,
        max(
            case when role <> 'depart' and (department_id is not null or bed_id is not null) then sequence end
        ) over (
            partition by {{ of_encounter }}, is_placed order by sequence
            rows between unbounded preceding and current row
        ) as located_sequence
    from placed

),

carried as (

    select
        *,
        first_value(department_id) over (
            partition by {{ of_encounter }}, is_placed, located_sequence order by sequence
        ) as at_department_id,
        first_value(room_id) over (
            partition by {{ of_encounter }}, is_placed, located_sequence order by sequence
        ) as at_room_id,
        first_value(bed_id) over (
            partition by {{ of_encounter }}, is_placed, located_sequence order by sequence
        ) as at_bed_id
    from located

),

stretched as (

    select
        *,
        lag(at_department_id) over (partition by {{ of_encounter }}, is_placed order by sequence) as before_department_id,
        lag(at_bed_id) over (partition by {{ of_encounter }}, is_placed order by sequence) as before_bed_id,
        lag(role) over (partition by {{ of_encounter }}, is_placed order by sequence) as before_role,
        lead(occurred_at) over (partition by {{ of_encounter }}, is_placed order by sequence) as next_at,
        lead(event_type) over (partition by {{ of_encounter }}, is_placed order by sequence) as next_event_type
    from carried

),

told as (

    select
        -- ids
        hospital_id,
        encounter_id,
        cast(version as integer) as version,
        event_id,
        cast(part as integer) as part,
        delivery_id,
        encounter_patient_id as patient_id,
        case when is_placed then at_department_id else department_id end as department_id,
        case when is_placed then at_room_id else room_id end as room_id,
        case when is_placed then at_bed_id else bed_id end as bed_id,
        prior_bed_id,
        case when is_placed then before_department_id end as before_department_id,
        case when is_placed then before_bed_id end as before_bed_id,
        merged_into_encounter_id,
        -- text
        event_type,
        event_name,
        role,
        case
            when is_placed and role = 'depart' then 'ended'
            when is_placed then 'placed'
            when is_idle_cancel or is_candidate then 'unplaced'
            when is_void then 'void'
            when role = 'plan' then 'planned'
            else 'noted'
        end as verdict,
        case
            when not is_placed or role = 'depart' then null
            when role = 'leave' then 'held'
            when at_bed_id is null then 'waiting'
            else 'occupied'
        end as bed_state,
        case
            when finding is not null then finding
            when not is_placed then null
            when role = 'return' and coalesce(before_role, '') <> 'leave' then 'returned_without_leave'
            when role = 'move' and prior_bed_id <> coalesce(before_bed_id, '') then 'not_in_prior_bed'
        end as finding,
        case when is_placed and role <> 'depart' then next_event_type end as ended_by_event_type,
        encounter_gender as gender,
        encounter_age_years as age_years,
        -- instants
        occurred_at,
        case when is_placed and role <> 'depart' then occurred_at end as valid_from,
        case when is_placed and role <> 'depart' then next_at end as valid_to,
        case when role = 'plan' then coalesce(expected_discharge_at, occurred_at) end as expected_discharge_at,
        recorded_from,
        received_at
    from stretched

)

select *
from told
where {{ only_new('told', ['hospital_id', 'encounter_id', 'version', 'delivery_id', 'part']) }}
