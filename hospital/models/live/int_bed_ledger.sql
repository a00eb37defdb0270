-- The bed ledger: one row per encounter, version and event, with what the event came to. A version is what was believed of an
-- encounter from `recorded_from` until its next version: each event that arrives makes one, worked out from all events that had
-- arrived by then. `recorded_from` is when the hospital knew, `arrived_from` when it had arrived here: after an outage the two are hours
-- apart. Rows are only ever added. What was known when is that way a matter of the events and the order of their arrival
-- alone, not of how they were cut into waves; what is believed in the end does not depend on the order either.
--
-- How the events of an encounter are read, in whatever order they came:
-- 1. Of several contents of one event id the one recorded last holds, and of several events of one numbered movement (ZBE).
-- 2. An encounter merged into another gives its events to it.
-- 3. A deleted visit (A23) loses every event up to the deletion. A discharge, leave or return told again before anything took it back is
--    the same one put right: what was recorded last holds. So is an admission told again for the same instant; one for another instant
--    stays beside the first, with a finding. A move told again for the same instant and place is the same move.
-- 4. A cancel takes back the latest event of its kind that happened before it and was not taken back, however often that was told;
--    brackets are matched so. Where a cancelled transfer or discharge (A12, A13) names a place, it is where the patient is afterwards (HL7
--    2.5.1, 3.3.12 and 3.3.13: PV1-3 "reflects the location of the patient after the cancellation"): a move, if it is another than before.
-- 5. What is left is put in the order in which it happened. Admission and registration begin a presence, a discharge ends it, moves,
--    leaves and returns need one. An encounter of which no admission was ever told begins with its first move: the feed may have begun
--    later.
-- 6. An event that fits nowhere is not placed and says why in `finding`.
--
-- A wave reads the new events, looks up all others of the encounters that these touch, and appends versions of them.

{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='append_new_columns') }}

{%- set so_far = 'rows between unbounded preceding and current row' %}
{%- set before = 'rows between unbounded preceding and 1 preceding' %}
{%- set in_group = 'partition by group_number order by delivery_number, part, encounter_id ' ~ so_far %}
{#- What happened at the same instant comes in the order of its places, and cancels behind everything. -#}
{%- set in_time = 'occurred_at, place_order, event_number, part, delivery_id' %}
{%- set back_in_time = 'occurred_at desc, place_order desc, event_number desc, part desc, delivery_id desc' %}
{%- set in_bracket = 'partition by cancel_bracket order by ' ~ in_time %}
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
            'delivery_id', 'event_id', 'hospital_id', 'encounter_id', 'merged_into_encounter_id', 'patient_id', 'facility',
            'department_id', 'room_id', 'bed_id', 'prior_department_id', 'prior_room_id', 'prior_bed_id', 'zbe_movement_id',
            'event_type', 'role', 'kind', 'zbe_action', 'gender', 'source_file'
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
        max(received_at) over ({{ in_group }}) as arrived_from,
        max(case when is_new then 1 else 0 end) over ({{ in_group }}) = 1 as is_since_new,
        sum(case when merged_into_encounter_id is not null then 1 else 0 end) over ({{ in_group }}) as merges_known
    from replaced

),

-- Only versions that the new events make, and of versions that were recorded and arrived at one instant the last: nobody ever saw the
-- others.
versions as (

    select
        group_number,
        delivery_number as version_delivery,
        recorded_from as version_recorded_from,
        arrived_from as version_arrived_from,
        merges_known as version_merges_known
    from (
        select
            *,
            lead(recorded_from) over (partition by group_number order by delivery_number, part, encounter_id)
                as next_recorded_from,
            lead(arrived_from) over (partition by group_number order by delivery_number, part, encounter_id)
                as next_arrived_from
        from arrivals
    ) as followed
    where is_since_new
        and (next_recorded_from is null or next_recorded_from > recorded_from or next_arrived_from > arrived_from)

),

-- An event counts for the versions from its arrival on, until another content takes its place.
known_by_version as (

    select
        events.*,
        versions.version_delivery,
        versions.version_recorded_from,
        versions.version_arrived_from,
        versions.version_merges_known,
        coalesce(events.replaced_by <= versions.version_delivery, false) as is_replaced
    from versions
    inner join arrivals as events
        on versions.group_number = events.group_number
        and versions.version_delivery >= events.delivery_number
    where events.replaced_by is null
        or events.replaced_by > versions.version_delivery
        -- An encounter that a merge put right goes on without has to say so: versions of it that no row tells of would not end the last.
        or events.role = 'merge'

),

-- 2. The encounter each one counts for.
counted as (

    select
        events.hospital_id,
        events.group_number,
        events.version_delivery - events.first_delivery + 1 as version,
        events.version_recorded_from as recorded_from,
        events.version_arrived_from as arrived_from,
        -- The merge itself stays with the encounter that ends by it, which so keeps a version that says where it went.
        case when events.role = 'merged' or events.is_replaced then events.encounter_id
            else coalesce(survivors.survivor_id, events.encounter_id) end as encounter_id,
        events.delivery_id,
        events.event_id,
        events.event_number,
        events.part,
        coalesce(survivors.survivor_id, events.encounter_id) = events.encounter_id as is_own,
        events.patient_id,
        -- A place travels as one text: rows are sorted often.
        case when events.department_id is not null or events.bed_id is not null
            then coalesce(events.department_id, '') || '{{ mark }}' || coalesce(events.room_id, '') || '{{ mark }}'
                || coalesce(events.bed_id, '') || '{{ mark }}' || coalesce(events.facility, '')
        end as own_place,
        case when events.prior_bed_id is not null
            then coalesce(events.prior_department_id, '') || '{{ mark }}' || coalesce(events.prior_room_id, '') || '{{ mark }}'
                || events.prior_bed_id
        end as prior_place,
        events.event_type,
        events.role,
        events.kind,
        events.gender,
        events.age_years,
        events.place_order,
        events.occurred_at,
        events.known_at,
        events.expected_discharge_at,
        events.received_at,
        events.is_replaced,
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
                case when role in ('merge', 'reassign') and not is_replaced then 0 else 1 end,
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

-- 3. What was deleted, and what was told again. The order runs back in time.
by_deletion as (

    select
        *,
        cast(row_number() over (
            order by
                case_number, occurred_at desc, case when role = 'delete' then 0 else 1 end,
                place_order desc, event_number desc, part desc, delivery_id desc
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
        is_replaced
            or is_movement_cancelled
            or coalesce(role not in ('delete', 'merged') and last_deleted_case = case_number, false) as is_taken_back
    from deletions

),

turnings as (

    -- What begins or ends a presence or a leave, and what takes that back, as a number below 16.
    select
        *,
        case
            when is_taken_back then null
            when role = 'cancel' and kind in ('admission', 'discharge', 'leave', 'return') then 0
            when role = 'admit' and kind = 'class' then 2
            when role = 'register' then 4
            when role = 'admit' then 6
            when role = 'leave' then 8
            when role = 'return' then 10
            when role = 'depart' then 12
        end + case when is_own then 1 else 0 end as turning
    from undeleted

),

next_turnings as (

    select
        *,
        max(case when turning is not null then deletion_order * 16 + turning end) over (order by deletion_order {{ before }})
            as next_turning,
        max(case when turning is not null then case_number end) over (order by deletion_order {{ before }}) as next_turning_case
    from turnings

),

retold as (

    -- The next of them is the same once more.
    select
        *,
        coalesce(turning >= 4 and next_turning_case = case_number and next_turning % 16 = turning, false) as is_retold
    from next_turnings

),

tellings as (

    select
        *,
        case
            when is_retold
                then max(case when turning is not null and not is_retold then deletion_order end) over (order by deletion_order {{ so_far }})
            else deletion_order
        end as telling
    from retold

),

-- 4. What was taken back. Events of a kind open brackets, cancels close them. Brackets in which nothing is cancelled, nearly all, share
-- one partition.
kinds as (

    select
        *,
        cast(dense_rank() over (order by case_number, kind) as bigint) as bracket_number,
        cast(row_number() over (
            order by
                case_number, kind, case when role = 'cancel' then 0 else 1 end,
                telling,
                case when role in ('register', 'admit') then occurred_at end,
                known_at desc, {{ back_in_time }}
        ) as bigint) as cancel_order
    from tellings

),

cancelled_kinds as (

    select
        *,
        max(case when role = 'cancel' then bracket_number end) over (order by cancel_order {{ so_far }}) as last_cancelled,
        coalesce(
            lag(telling) over (order by cancel_order) = telling
                and (role not in ('register', 'admit') or lag(occurred_at) over (order by cancel_order) = occurred_at),
            false
        ) as is_put_right
    from kinds

),

brackets as (

    select
        *,
        case when last_cancelled = bracket_number and not is_taken_back then bracket_number else 0 end as cancel_bracket
    from cancelled_kinds

),

levels as (

    -- What is told several times opens one bracket.
    select
        *,
        sum(case when role = 'cancel' then -1 when is_retold then 0 else 1 end) over ({{ in_bracket }} {{ so_far }}) as level
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
            when role = 'cancel' then coalesce(lag(depth) over ({{ in_bracket }}), 0)
            when is_retold then depth + 1
            else depth
        end as bracket_depth
    from depths

),

matched as (

    -- At its own depth an event is followed by the cancel that takes it back, if there is one.
    select
        *,
        is_taken_back
            or is_put_right
            or coalesce(
                cancel_bracket > 0
                and role <> 'cancel'
                and max(case when role = 'cancel' then 1 else 0 end) over (
                    partition by cancel_bracket, bracket_depth order by {{ back_in_time }} {{ before }}
                ) = 1,
                false
            ) as is_void,
        is_unknown_movement or (role = 'cancel' and not is_taken_back and bracket_depth = 0) as is_idle_cancel
    from bracket_depths

),

-- 5. What is left, in the order in which it happened.
restated as (

    -- Says where the patient is without being a movement: it is one if the patient is elsewhere.
    select
        *,
        own_place is not null
            and not is_void
            and not is_idle_cancel
            and (role = 'update' or (role = 'cancel' and kind in ('transfer', 'discharge'))) as is_restated
    from matched

),

candidates as (

    select
        *,
        is_restated
            or (not is_void and role in ('register', 'admit', 'move', 'leave', 'return', 'depart')) as is_candidate
    from restated

),

sequenced as (

    select
        *,
        is_candidate and role in ('register', 'admit') as is_admission,
        is_candidate and role in ('move', 'leave', 'return') as is_move,
        cast(row_number() over (
            order by case_number, case when is_candidate then 0 else 1 end, {{ in_time }}
        ) as bigint) as sequence
    from candidates

),

bounded as (

    select
        *,
        coalesce(lag(case_number) over (order by sequence) <> case_number, true) as is_case_start,
        coalesce(
            lag(occurred_at) over (order by sequence) = occurred_at and lag(event_type) over (order by sequence) = event_type,
            false
        ) as is_at_once
    from sequenced

),

-- The last of their kinds, whatever the encounter; whether they are of this one, its first row says.
neighbours as (

    select
        *,
        max(case when is_case_start then sequence end) over (order by sequence {{ so_far }}) as case_start,
        max(case when is_move then sequence end) over (order by sequence {{ before }}) as last_move,
        cast(row_number() over (
            order by
                case_number,
                case when is_admission then 0 when role in ('register', 'admit') then 1 else 2 end,
                sequence
        ) as bigint) as admission_order
    from bounded

),

admissions as (

    select
        *,
        coalesce(
            max(case when role in ('register', 'admit') then case_number end) over (order by admission_order {{ so_far }})
                = case_number,
            false
        ) as was_admission_told,
        coalesce(
            max(case when is_admission then case_number end) over (order by admission_order {{ so_far }}) = case_number,
            false
        ) as has_admission
    from neighbours

),

openings as (

    -- An encounter of which no admission was told opens with its first move.
    select *, is_move and not was_admission_told and coalesce(last_move < case_start, true) as is_unadmitted
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

present as (

    select
        *,
        is_candidate and (is_admission or is_unadmitted or coalesce(last_turn % 2 = 1, false)) as is_present,
        case
            when is_idle_cancel then 'cancel_without_event'
            when not is_candidate or is_admission or is_restated then null
            when is_unadmitted then 'never_admitted'
            when last_turn % 2 = 1 then null
            when role = 'depart' and last_turn is not null then 'discharged_twice'
            when role = 'depart' then 'discharged_without_stay'
            when last_turn is not null then 'moved_after_discharge'
            when not has_admission then 'moved_after_cancelled_admission'
            else 'moved_before_admission'
        end as finding
    from presences

),

in_places as (

    select
        *,
        -- An event that names no place happens where the patient is; so does a discharge, whatever place it names.
        case when is_present and role <> 'depart' and not is_restated then lpad(cast(sequence as varchar), 12, '0') || own_place end
            as moved_to
    from present

),

moved as (

    select *, max(moved_to) over (order by sequence {{ before }}) as last_moved_to
    from in_places

),

named_places as (

    -- A place that is said again and says less than is known, a ward without its bed, is the known one.
    select
        *,
        case
            when not is_restated or not is_present then moved_to
            when cast(substr(last_moved_to, 1, 12) as bigint) >= case_start
                {%- for n in range(1, 5) %}
                and (
                    split_part(own_place, '{{ mark }}', {{ n }}) = ''
                    or split_part(own_place, '{{ mark }}', {{ n }}) = split_part(substr(last_moved_to, 13), '{{ mark }}', {{ n }})
                )
                {%- endfor %}
                then lpad(cast(sequence as varchar), 12, '0') || substr(last_moved_to, 13)
            else lpad(cast(sequence as varchar), 12, '0') || own_place
        end as new_place
    from moved

),

carried as (

    select
        *,
        max(new_place) over (order by sequence {{ so_far }}) as last_place,
        max(new_place) over (order by sequence {{ before }}) as place_before
    from named_places

),

-- Places of other encounters are none of this one's.
kept_places as (

    select
        *,
        case when cast(substr(last_place, 1, 12) as bigint) >= case_start then substr(last_place, 13) end as here,
        case when cast(substr(place_before, 1, 12) as bigint) >= case_start then substr(place_before, 13) end as here_before
    from carried

),

-- A move to where the patient is, told again for the same instant, is the same move.
told_again as (

    select
        *,
        coalesce(is_present and is_at_once and not is_case_start and role in ('move', 'admit') and here_before = here, false)
            as is_told_again
    from kept_places

),

placed as (

    select *, is_present and not is_told_again and not (is_restated and coalesce(here_before = here, false)) as is_placed
    from told_again

),

placements as (

    select
        *,
        cast(row_number() over (order by case_number, case when is_placed then 0 else 1 end, sequence) as bigint) as place_number
    from placed

),

neighbouring as (

    select
        *,
        coalesce(lag(case_number) over (order by place_number) = case_number, false) as has_before,
        coalesce(
            lead(case_number) over (order by place_number) = case_number
                and lead(is_placed) over (order by place_number),
            false
        ) as has_next,
        lag(role) over (order by place_number) as before_role,
        lag(event_type) over (order by place_number) as before_event_type,
        lag(occurred_at) over (order by place_number) as before_at,
        lag(is_own) over (order by place_number) as before_is_own,
        lead(occurred_at) over (order by place_number) as next_at,
        lead(event_type) over (order by place_number) as next_event_type
    from placements

),

located as (

    select
        *,
        case when is_placed then here else own_place end as at_place,
        case when is_placed and has_before then here_before end as was_place
    from neighbouring

),

parts as (

    select
        *,
        {%- for part in ['department_id', 'room_id', 'bed_id', 'facility'] %}
        nullif(split_part(at_place, '{{ mark }}', {{ loop.index }}), '') as at_{{ part }},
        {%- endfor %}
        {%- for part in ['department_id', 'room_id', 'bed_id'] %}
        nullif(split_part(was_place, '{{ mark }}', {{ loop.index }}), '') as was_{{ part }},
        nullif(split_part(prior_place, '{{ mark }}', {{ loop.index }}), '') as prior_{{ part }}{{ ',' if not loop.last }}
        {%- endfor %}
    from located

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
        at_facility as facility,
        at_department_id as department_id,
        at_room_id as room_id,
        at_bed_id as bed_id,
        prior_bed_id,
        was_department_id as before_department_id,
        was_bed_id as before_bed_id,
        -- text
        event_type,
        role,
        case
            when is_placed and role = 'depart' then 'ended'
            when is_placed then 'placed'
            when is_told_again then 'void'
            when is_idle_cancel or (is_candidate and not is_restated) then 'unplaced'
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
            when event_type = 'A01' and has_before and before_event_type = 'A01' and before_is_own = is_own and before_at < occurred_at
                then 'admitted_twice'
            when role = 'move'
                and (
                    prior_bed_id <> coalesce(was_bed_id, '')
                    or (prior_bed_id is not null and (prior_room_id <> was_room_id or prior_department_id <> was_department_id))
                )
                then 'not_in_prior_bed'
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
        arrived_from,
        received_at
    from parts

)

select *
from told
where {{ only_new('told', ['hospital_id', 'encounter_id', 'version', 'delivery_id', 'part']) }}
