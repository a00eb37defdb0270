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
-- A wave reads the new events, looks up all others of the encounters that these touch, and appends versions of them.

{{ config(materialized='incremental', incremental_strategy='append') }}

{%- set so_far = 'rows between unbounded preceding and current row' %}
{%- set before = 'rows between unbounded preceding and 1 preceding' %}
{%- set in_group = 'partition by group_number order by delivery_number, part, encounter_id ' ~ so_far %}
{%- set in_bracket = "partition by cancel_bracket
            order by occurred_at, case when role = 'cancel' then 1 else 0 end, event_number, part, delivery_id" %}
{#- Between the parts of a place that travels as one text. #}
{%- set mark = '^|^' %}

{%- set touched_encounters %}
    {{ with_fellows(encounter_ids(changes(ref('int_bed_events')))) | indent(4) }}
{%- endset %}

with new_events as (

    {{ bed_encounter_events(changes(ref('int_bed_events'))) | indent(4) }}

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

-- An event names one encounter or two.
delivered as (

    select * from {{ matching(ref('int_bed_events'), ['hospital_id', 'encounter_id'], touched_encounters) }}
    union
    select *
    from {{ matching(ref('int_bed_events'), ['hospital_id', 'second_encounter_id'], touched_encounters) }}
    where second_encounter_id is not null

),

told_events as (

    {{ bed_encounter_events('delivered') | indent(4) }}

),
{%- else %}

told_events as (

    select * from new_events

),
{%- endif %}

-- An event delivered again is left out.
known_events as (

    select *
    from told_events
    qualify row_number() over (
        partition by hospital_id, encounter_id, event_id, part, content_hash
        order by received_at, source_file, source_position
    ) = 1

),

grouped as (

    select
        {%- for column in [
            'delivery_id', 'event_id', 'hospital_id', 'encounter_id', 'merged_into_encounter_id', 'patient_id', 'department_id',
            'room_id', 'bed_id', 'prior_bed_id', 'zbe_movement_id', 'event_type', 'role', 'kind', 'zbe_action',
            'gender', 'source_file'
        ] %}
        {{ plain_text('known_events.' ~ column) }} as {{ column }},
        {%- endfor %}
        known_events.part,
        known_events.age_years,
        known_events.place_order,
        known_events.occurred_at,
        known_events.known_at,
        known_events.expected_discharge_at,
        known_events.received_at,
        known_events.source_position,
        {{ plain_text('touched.group_id') }} as group_id
    from known_events
    left join {{ ref('int_bed_groups') }} as groups
        on known_events.hospital_id = groups.hospital_id
        and known_events.encounter_id = groups.encounter_id
    inner join touched
        on known_events.hospital_id = touched.hospital_id
        and coalesce(groups.group_id, known_events.encounter_id) = touched.group_id

),

-- From here on one order runs through all encounters, and windows look back only: they cost far less than windows over many small
-- partitions, and rows stream through them however many there are.
numbered as (

    select
        grouped.*,
        new_deliveries.delivery_id is not null as is_new,
        cast(dense_rank() over (order by grouped.hospital_id, grouped.group_id) as bigint) as group_number,
        cast(dense_rank() over (
            order by
                grouped.hospital_id, grouped.group_id,
                grouped.received_at, grouped.source_file, grouped.source_position, grouped.delivery_id
        ) as bigint) as delivery_number,
        cast(dense_rank() over (order by grouped.event_id) as bigint) as event_number,
        cast(dense_rank() over (
            order by
                grouped.hospital_id, grouped.group_id,
                coalesce('movement ' || grouped.zbe_movement_id, 'event ' || grouped.event_id), grouped.part
        ) as bigint) as content_number,
        -- Of two contents of one event or movement the stronger one holds.
        cast(row_number() over (
            order by
                grouped.hospital_id, grouped.group_id,
                coalesce('movement ' || grouped.zbe_movement_id, 'event ' || grouped.event_id), grouped.part,
                grouped.known_at,
                case grouped.zbe_action when 'CANCEL' then 2 when 'UPDATE' then 1 else 0 end,
                grouped.event_id,
                grouped.received_at, grouped.source_file, grouped.source_position, grouped.delivery_id, grouped.encounter_id
        ) as bigint) as strength
    from grouped
    left join (select distinct delivery_id from new_events) as new_deliveries
        on grouped.delivery_id = new_deliveries.delivery_id

),

-- 1. Which content replaces which, from which arrival on.
rivals as (

    select
        *,
        coalesce(
            lag(content_number) over (order by strength) = content_number
                or lead(content_number) over (order by strength) = content_number,
            false
        ) as has_rivals
    from numbered

),

replaced as (

    select
        *,
        case when has_rivals then min(delivery_number) over (
            partition by case when has_rivals then content_number else 0 end order by strength desc {{ before }}
        ) end as replaced_by
    from rivals

),

-- The nth delivery to arrive makes version n. It cannot have been known before those that had arrived: recorded times never go back.
arrivals as (

    select
        *,
        min(delivery_number) over ({{ in_group }}) as first_delivery,
        max(known_at) over ({{ in_group }}) as recorded_from,
        max(case when is_new then 1 else 0 end) over ({{ in_group }}) = 1 as is_since_new,
        sum(case when merged_into_encounter_id is not null then 1 else 0 end) over ({{ in_group }}) as merges_known
    from replaced

),

-- Only versions that the new events make, and of versions that begin at one instant the last: nobody ever saw the others.
versions as (

    select
        group_number,
        delivery_number as version_delivery,
        recorded_from as version_recorded_from,
        merges_known as version_merges_known
    from (
        select
            *,
            lead(recorded_from) over (partition by group_number order by delivery_number, part, encounter_id)
                as next_recorded_from
        from arrivals
    ) as followed
    where is_since_new
        and (next_recorded_from is null or next_recorded_from > recorded_from)

),

-- An event counts for the versions from its arrival on, until another content takes its place.
known_by_version as (

    select events.*, versions.version_delivery, versions.version_recorded_from, versions.version_merges_known
    from versions
    inner join arrivals as events
        on versions.group_number = events.group_number
        and versions.version_delivery >= events.delivery_number
    where events.replaced_by is null
        or events.replaced_by > versions.version_delivery

),

-- 2. The encounter each one counts for.
counted as (

    select
        events.hospital_id,
        events.group_number,
        events.version_delivery - events.first_delivery + 1 as version,
        events.version_recorded_from as recorded_from,
        -- The merge itself stays with the encounter that ends by it, which so keeps a version that says where it went.
        case when events.role = 'merged' then events.encounter_id
            else coalesce(survivors.survivor_id, events.encounter_id) end as encounter_id,
        events.delivery_id,
        events.event_id,
        events.event_number,
        events.part,
        events.patient_id,
        -- A place travels as one text: rows are sorted often.
        case when events.department_id is not null or events.bed_id is not null
            then coalesce(events.department_id, '') || '{{ mark }}' || coalesce(events.room_id, '') || '{{ mark }}'
                || coalesce(events.bed_id, '')
        end as own_place,
        events.prior_bed_id,
        events.event_type,
        events.role,
        events.kind,
        events.gender,
        events.age_years,
        events.place_order,
        events.occurred_at,
        events.expected_discharge_at,
        events.received_at,
        coalesce(events.zbe_action = 'CANCEL' and events.zbe_movement_id is not null, false) as is_movement_cancelled,
        coalesce(events.zbe_action = 'CANCEL' and events.zbe_movement_id is not null, false) and not events.has_rivals
            as is_unknown_movement
    from known_by_version as events
    left join {{ ref('int_bed_group_survivors') }} as survivors
        on events.hospital_id = survivors.hospital_id
        and events.group_id = survivors.group_id
        and events.version_merges_known = survivors.merges_known
        and events.encounter_id = survivors.encounter_id

),

cases as (

    select *, cast(dense_rank() over (order by group_number, version, encounter_id) as bigint) as case_number
    from counted

),

-- The patient of an encounter: whom the last event that moved or merged it names, else its last event.
by_patient as (

    select
        *,
        cast(row_number() over (
            order by
                case_number,
                case when patient_id is null then 1 else 0 end,
                case when role in ('merge', 'reassign') then 0 else 1 end,
                occurred_at desc,
                event_number desc,
                part
        ) as bigint) as patient_order
    from cases

),

firsts as (

    select
        *,
        coalesce(lag(case_number) over (order by patient_order) <> case_number, true) as is_first
    from by_patient

),

with_patient as (

    select
        *,
        nullif(
            substr(
                max(
                    case when is_first
                        then lpad(cast(patient_order as varchar), 12, '0') || coalesce(patient_id, '') end
                ) over (order by patient_order {{ so_far }}),
                13
            ),
            ''
        ) as case_patient_id
    from firsts

),

-- 3. What was taken back.
by_deletion as (

    select
        *,
        cast(row_number() over (
            order by case_number, occurred_at desc, case when role = 'delete' then 0 else 1 end, event_number, part, delivery_id
        ) as bigint) as deletion_order
    from with_patient

),

deletions as (

    select
        *,
        max(case when role = 'delete' then case_number end) over (order by deletion_order {{ so_far }}) as last_deleted_case
    from by_deletion

),

undeleted as (

    select
        *,
        is_movement_cancelled or coalesce(role not in ('delete', 'merged') and last_deleted_case = case_number, false)
            as is_taken_back
    from deletions

),

-- Events of a kind open brackets, cancels close them. Brackets in which nothing is cancelled, nearly all, share one partition.
kinds as (

    select
        *,
        cast(dense_rank() over (order by case_number, kind) as bigint) as bracket_number,
        cast(row_number() over (
            order by case_number, kind, case when role = 'cancel' then 0 else 1 end, occurred_at, event_number, part, delivery_id
        ) as bigint) as cancel_order
    from undeleted

),

cancelled_kinds as (

    select
        *,
        max(case when role = 'cancel' then bracket_number end) over (order by cancel_order {{ so_far }}) as last_cancelled
    from kinds

),

brackets as (

    select *, case when last_cancelled = bracket_number then bracket_number else 0 end as cancel_bracket
    from cancelled_kinds

),

levels as (

    select
        *,
        sum(case when is_taken_back then 0 when role = 'cancel' then -1 else 1 end) over ({{ in_bracket }} {{ so_far }}) as level
    from brackets

),

depths as (

    -- A cancel that finds nothing to take back does not reach for what comes later.
    select *, level - least(0, min(level) over ({{ in_bracket }} {{ so_far }})) as depth
    from levels

),

bracket_depths as (

    -- The depth that an event reaches, and from which a cancel comes back.
    select
        *,
        case
            when cancel_bracket = 0 then 0
            when is_taken_back then -1
            when role = 'cancel' then coalesce(lag(depth) over ({{ in_bracket }}), 0)
            else depth
        end as bracket_depth
    from depths

),

matched as (

    -- What follows an event at its own depth is the cancel that takes it back, if there is one.
    select
        *,
        is_taken_back
            or coalesce(
                cancel_bracket > 0
                and role <> 'cancel'
                and lead(role) over (
                    partition by cancel_bracket, bracket_depth
                    order by occurred_at, case when role = 'cancel' then 1 else 0 end, event_number, part, delivery_id
                ) = 'cancel',
                false
            ) as is_void,
        is_unknown_movement or (role = 'cancel' and not is_taken_back and bracket_depth = 0) as is_idle_cancel
    from bracket_depths

),

-- 4. What is left, in the order in which it happened.
candidates as (

    select
        *,
        not is_void and role in ('register', 'admit', 'move', 'leave', 'return', 'depart') as is_candidate
    from matched

),

sequenced as (

    select
        *,
        is_candidate and role in ('register', 'admit') as is_admission,
        is_candidate and role in ('move', 'leave', 'return') as is_move,
        cast(row_number() over (
            order by
                case_number, case when is_candidate then 0 else 1 end,
                occurred_at, place_order, event_number, part, delivery_id
        ) as bigint) as sequence
    from candidates

),

bounded as (

    select
        *,
        coalesce(lag(case_number) over (order by sequence) <> case_number, true) as is_case_start
    from sequenced

),

-- The last of their kinds, whatever the encounter; whether they are of this one, its first row says.
neighbours as (

    select
        *,
        max(case when is_case_start then sequence end) over (order by sequence {{ so_far }}) as case_start,
        max(case when is_move then sequence end) over (order by sequence {{ before }}) as last_move,
        cast(row_number() over (order by case_number, case when is_admission then 0 else 1 end, sequence) as bigint) as admission_order
    from bounded

),

admissions as (

    select
        *,
        coalesce(
            max(case when is_admission then case_number end) over (order by admission_order {{ so_far }}) = case_number,
            false
        ) as has_admission
    from neighbours

),

openings as (

    -- An encounter that was never admitted opens with its first move.
    select *, is_move and not has_admission and coalesce(last_move < case_start, true) as is_unadmitted
    from admissions

),

turns as (

    select
        *,
        max(
            case
                when is_admission or is_unadmitted then sequence * 2 + 1
                when is_candidate and role = 'depart' then sequence * 2
            end
        ) over (order by sequence {{ before }}) as last_turn_anywhere
    from openings

),

presences as (

    -- Odd: present before the event. Even: discharged before it. NULL: neither.
    select
        *,
        case when last_turn_anywhere >= case_start * 2 then last_turn_anywhere end as last_turn
    from turns

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

in_places as (

    select
        *,
        cast(row_number() over (order by case_number, case when is_placed then 0 else 1 end, sequence) as bigint) as place_number,
        -- An event that names no place happens where the patient is; so does a discharge, whatever place it names.
        case when is_placed and role <> 'depart' then own_place end as new_place
    from placed

),

carried as (

    select
        *,
        max(lpad(cast(place_number as varchar), 12, '0') || new_place) over (order by place_number {{ so_far }})
            as last_place
    from in_places

),

-- Every encounter begins with a placed event or has none, so that its first place is its own.
neighbouring as (

    select
        *,
        coalesce(lag(case_number) over (order by place_number) = case_number, false) as has_before,
        coalesce(
            lead(case_number) over (order by place_number) = case_number
                and lead(is_placed) over (order by place_number),
            false
        ) as has_next,
        lag(last_place) over (order by place_number) as before_place,
        lag(role) over (order by place_number) as before_role,
        lead(occurred_at) over (order by place_number) as next_at,
        lead(event_type) over (order by place_number) as next_event_type,
        case
            when not is_placed then own_place
            when cast(substr(last_place, 1, 12) as bigint) >= first_place then substr(last_place, 13)
        end as at_place
    from (
        select
            *,
            max(case when is_place_start then place_number end) over (order by place_number {{ so_far }}) as first_place
        from (
            select
                *,
                coalesce(lag(case_number) over (order by place_number) <> case_number, true) as is_place_start
            from carried
        ) as starts
    ) as begun

),

located as (

    select
        *,
        nullif(split_part(at_place, '{{ mark }}', 1), '') as at_department_id,
        nullif(split_part(at_place, '{{ mark }}', 2), '') as at_room_id,
        nullif(split_part(at_place, '{{ mark }}', 3), '') as at_bed_id,
        case when is_placed and has_before and cast(substr(before_place, 1, 12) as bigint) >= first_place
            then substr(before_place, 13) end as was_place
    from neighbouring

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
        case_patient_id as patient_id,
        at_department_id as department_id,
        at_room_id as room_id,
        at_bed_id as bed_id,
        prior_bed_id,
        nullif(split_part(was_place, '{{ mark }}', 1), '') as before_department_id,
        nullif(split_part(was_place, '{{ mark }}', 3), '') as before_bed_id,
        -- text
        event_type,
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
            when role = 'return' and not (has_before and before_role = 'leave') then 'returned_without_leave'
            when role = 'move' and prior_bed_id <> coalesce(split_part(was_place, '{{ mark }}', 3), '') then 'not_in_prior_bed'
        end as finding,
        case when is_placed and role <> 'depart' and has_next then next_event_type end as ended_by_event_type,
        gender,
        age_years,
        -- instants
        occurred_at,
        case when is_placed and role <> 'depart' then occurred_at end as valid_from,
        case when is_placed and role <> 'depart' and has_next then next_at end as valid_to,
        case when role = 'plan' then coalesce(expected_discharge_at, occurred_at) end as expected_discharge_at,
        recorded_from,
        received_at
    from located

)

select *
from told
where {{ only_new('told', ['hospital_id', 'encounter_id', 'version', 'delivery_id', 'part']) }}
