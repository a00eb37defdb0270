-- One row per delivered event of any feed, in one form: who, where, when it happened, when it was recorded, when it came. A repeat
-- of an event and a correction of it (same id, other content) are rows of their own; the ledger decides what holds.
--
-- A patient-flow event tells of two events: the admission, and the discharge planned with it. It is recorded on admission. A message
-- that merges or moves several records is one row for each.
--
-- `withheld` says why a row counts for nothing, by the rules of staging: it is not production, lacks the patient or the visit that its
-- trigger needs, or lies where it cannot. Such rows are kept, and reach neither ledger nor clock.
--
-- A wave reads the new bronze rows and nothing else, and appends.

{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='append_new_columns') }}

{%- set adt_columns = [
    'event_id', 'event_type', 'occurred_at', 'recorded_at', 'hospital_id', 'patient_id', 'encounter_id',
    'facility', 'department_id', 'room_id', 'bed_id', 'prior_department_id', 'prior_room_id', 'prior_bed_id',
    'merged_into_patient_id', 'merged_patient_id', 'merged_encounter_id', 'second_patient', 'expected_discharge_at',
    'zbe_movement_id', 'zbe_action', 'zbe_original_event'
] %}
{%- set message_columns = [
    'message_type', 'processing_id', 'gender', 'birth_date', 'event_occurred_at', 'admitted_at', 'discharged_at',
    'account_number', 'visit_number', 'patient_class', 'merged_account_number', 'merges'
] %}

with adt as (

    {{ received_changes(source('live', 'adt_events'), adt_columns) | indent(4) }}

),

patient_flow as (

    {{ received_changes(source('live', 'patient_flow'), [
        'patient_id', 'gender', 'age', 'department', 'admission_time', 'discharge_time', 'bed_id', 'hospital_id'
    ]) | indent(4) }}

),

messages as (

    {{ received_changes(source('hl7', 'messages'), adt_columns + message_columns) | indent(4) }}

),

adt_events as (

    select
        'live.adt_events' as source_name,
        {{ bed_event_columns() | indent(8) }},
        cast(null as varchar) as merge_item,
        cast(null as varchar) as visit_number,
        cast(null as varchar) as merged_visit_number,
        cast(null as varchar) as account_number,
        cast(null as varchar) as merged_account_number,
        cast(null as varchar) as gender,
        cast(null as integer) as age_years,
        cast(null as date) as birth_date,
        {{ as_instant('occurred_at') }} as occurred_at,
        {{ as_instant('recorded_at') }} as recorded_at,
        {{ as_instant('expected_discharge_at') }} as expected_discharge_at,
        {{ as_text('occurred_at') }} is not null as has_occurred_text,
        {{ as_text('recorded_at') }} is not null as has_recorded_text,
        true as is_production,
        true as has_visit,
        _file,
        _position,
        _batch_id,
        _received_at
    from adt

),

-- A message without merges is one item all the same.
message_items as (

    select
        messages.*,
        {{ json_items("coalesce(messages.merges, '[{}]')") }} as merge_item
    from messages
    where message_type = 'ADT'

),

hl7_events as (

    select
        'hl7.messages' as source_name,
        {{ bed_event_columns() | indent(8) }},
        merge_item,
        {{ as_text('visit_number') }} as visit_number,
        {{ as_text('merged_encounter_id') }} as merged_visit_number,
        {{ as_text('account_number') }} as account_number,
        {{ as_text('merged_account_number') }} as merged_account_number,
        {{ as_code('gender') }} as gender,
        cast(null as integer) as age_years,
        {{ hl7_date('birth_date') }} as birth_date,
        {{ hl7_occurred_at() }} as occurred_at,
        {{ hl7_instant('recorded_at') }} as recorded_at,
        {{ hl7_instant('expected_discharge_at') }} as expected_discharge_at,
        {{ as_text('occurred_at') }} is not null as has_occurred_text,
        {{ as_text('recorded_at') }} is not null as has_recorded_text,
        {{ hl7_is_production() }} as is_production,
        {{ hl7_has_visit() | indent(4) }} as has_visit,
        _file,
        _position,
        _batch_id,
        _received_at
    from message_items

),

flow_stays as (

    select
        {{ as_text('patient_id') }} as patient_id,
        {{ as_code('gender') }} as gender,
        {{ as_integer('age') }} as age_years,
        {{ as_text('department') }} as department_id,
        {{ as_text('bed_id') }} as bed_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('patient_id') }} || '@' || {{ as_text('admission_time') }} as stay_id,
        {{ as_instant('admission_time') }} as admitted_at,
        {{ as_instant('discharge_time') }} as discharged_at,
        {{ as_text('admission_time') }} is not null as has_admission_text,
        _file,
        _position,
        _batch_id,
        _received_at
    from patient_flow

),

flow_events as (

    select stay_id || '/admit' as event_id, 'A01' as event_type, admitted_at as occurred_at, flow_stays.*
    from flow_stays
    union all
    select stay_id || '/discharge' as event_id, 'A03' as event_type, discharged_at as occurred_at, flow_stays.*
    from flow_stays
    where discharged_at is not null

),

events as (

    select * from adt_events
    union all
    select * from hl7_events
    union all
    select
        'live.patient_flow' as source_name,
        event_id,
        event_type,
        hospital_id,
        patient_id,
        stay_id as encounter_id,
        cast(null as varchar) as facility,
        department_id,
        cast(null as varchar) as room_id,
        bed_id,
        cast(null as varchar) as prior_department_id,
        cast(null as varchar) as prior_room_id,
        cast(null as varchar) as prior_bed_id,
        cast(null as varchar) as merged_into_patient_id,
        cast(null as varchar) as merged_patient_id,
        cast(null as varchar) as merged_encounter_id,
        cast(null as varchar) as second_patient,
        cast(null as varchar) as zbe_movement_id,
        cast(null as varchar) as zbe_action,
        cast(null as varchar) as zbe_original_event,
        cast(null as varchar) as merge_item,
        cast(null as varchar) as visit_number,
        cast(null as varchar) as merged_visit_number,
        cast(null as varchar) as account_number,
        cast(null as varchar) as merged_account_number,
        gender,
        age_years,
        cast(null as date) as birth_date,
        occurred_at,
        admitted_at as recorded_at,
        cast(null as timestamp) as expected_discharge_at,
        -- A planned discharge that is no time is none.
        has_admission_text as has_occurred_text,
        has_admission_text as has_recorded_text,
        true as is_production,
        true as has_visit,
        _file,
        _position,
        _batch_id,
        _received_at
    from flow_events

),

-- Whose numbers an item of several is about.
items as (

    select
        events.*,
        triggers.role,
        triggers.identity,
        triggers.identity_of,
        {{ json_text('merge_item', 'item') }} as item_number,
        coalesce({{ json_text('merge_item', 'merged_into_patient_id') }}, events.patient_id) as item_patient_id,
        case when merge_item is null or merge_item = '{}' then events.merged_patient_id
            else {{ json_text('merge_item', 'merged_patient_id') }} end as item_merged_patient_id,
        coalesce(
            {{ json_text('merge_item', 'merged_into_encounter_id') }},
            case when coalesce({{ json_text('merge_item', 'item') }}, '1') = '1' then events.visit_number end
        ) as item_visit_number,
        case when merge_item is null or merge_item = '{}' then events.merged_visit_number
            else {{ json_text('merge_item', 'merged_encounter_id') }} end as item_merged_visit_number,
        coalesce(
            {{ json_text('merge_item', 'merged_into_account_number') }},
            case when coalesce({{ json_text('merge_item', 'item') }}, '1') = '1' then events.account_number end
        ) as item_account_number,
        case when merge_item is null or merge_item = '{}' then events.merged_account_number
            else {{ json_text('merge_item', 'merged_account_number') }} end as item_merged_account_number,
        case when birth_date is not null
            then cast({{ utc_to_local('events.occurred_at', var('time_zone')) }} as date) end as occurred_date
    from events
    left join {{ ref('int_adt_triggers') }} as triggers on triggers.event_type = {{ told_trigger('events') }}

),

-- Stays are known by their visit, or by their account where the sender numbers no visits.
paired as (

    select
        *,
        case
            when identity_of in ('account', 'patient and account')
                and item_account_number is not null and item_merged_account_number is not null then 'account'
            when identity_of in ('account', 'visit')
                and item_visit_number is not null and item_merged_visit_number is not null then 'visit'
            when identity_of = 'visit'
                and item_account_number is not null and item_merged_account_number is not null then 'account'
        end as pair_of
    from items

),

named as (

    select
        source_name,
        case when item_number <> '1' then event_id || '/' || item_number else event_id end as event_id,
        event_type,
        hospital_id,
        item_patient_id as patient_id,
        case
            when pair_of = 'account' then item_account_number
            when pair_of = 'visit' then item_visit_number
            when identity = 'move' and identity_of = 'account' then coalesce(item_merged_account_number, encounter_id)
            when identity = 'move' and identity_of = 'visit' then coalesce(item_merged_visit_number, encounter_id)
            else encounter_id
        end as encounter_id,
        case when facility <> hospital_id then facility end as facility,
        department_id,
        room_id,
        bed_id,
        prior_department_id,
        prior_room_id,
        prior_bed_id,
        case
            when merge_item is null or merge_item = '{}' then merged_into_patient_id
            when item_merged_patient_id is not null then item_patient_id
        end as merged_into_patient_id,
        item_merged_patient_id as merged_patient_id,
        case
            when pair_of = 'account' then item_merged_account_number
            when pair_of = 'visit' then item_merged_visit_number
            -- A message tells of visits only by the pairs.
            when source_name <> 'hl7.messages' then merged_encounter_id
        end as merged_encounter_id,
        second_patient,
        zbe_movement_id,
        zbe_action,
        zbe_original_event,
        item_number,
        case when coalesce(item_number, '1') = '1' then gender end as gender,
        case
            when coalesce(item_number, '1') <> '1' then null
            else coalesce(age_years, {{ age_years('birth_date', 'occurred_date') }})
        end as age_years,
        role,
        occurred_at,
        recorded_at,
        expected_discharge_at,
        has_occurred_text,
        has_recorded_text,
        is_production,
        has_visit,
        source_name = 'live.patient_flow' and event_type = 'A03' as is_planned,
        -- The last instant of which the delivery can tell, by the file's day or by its arrival.
        coalesce({{ extract_cut('_file') }}, _received_at) as told_until_at,
        _file,
        _position,
        _batch_id,
        _received_at
    from paired

),

judged as (

    select
        *,
        -- Messages that merge or link name a second patient too, who goes nowhere.
        case when role = 'swap' then second_patient end as swapped_patient,
        case
            when not is_production then 'not_production'
            when patient_id is null
                and (
                    role in ('register', 'admit', 'move', 'leave', 'return', 'depart', 'plan', 'cancel', 'swap', 'delete')
                    or (source_name = 'hl7.messages' and event_type <> 'A20')
                )
                then 'not_null_patient_id'
            when not has_visit
                and role in ('register', 'admit', 'move', 'leave', 'return', 'depart', 'plan', 'cancel', 'swap', 'delete')
                then 'not_null_visit'
            when (has_occurred_text and occurred_at is null) or (has_recorded_text and recorded_at is null) then 'not_a_time'
            -- What is planned may lie as far ahead as it likes.
            when (occurred_at > {{ dbt.dateadd('day', 1, 'told_until_at') }} and not is_planned)
                or recorded_at > {{ dbt.dateadd('day', 1, 'told_until_at') }}
                then 'future_timestamp'
            when occurred_at < timestamp '1980-01-01 00:00:00' then 'timestamp_1900'
        end as withheld,
        {{ surrogate_key([
            'event_type', 'hospital_id', 'patient_id', 'encounter_id', 'facility', 'department_id', 'room_id', 'bed_id',
            'prior_department_id', 'prior_room_id', 'prior_bed_id', 'merged_into_patient_id', 'merged_patient_id',
            'merged_encounter_id', 'second_patient', 'zbe_movement_id', 'zbe_action', 'zbe_original_event', 'occurred_at',
            'recorded_at', 'expected_discharge_at'
        ]) | indent(8) }} as content_hash
    from named

),

deliveries as (

    select
        -- ids
        {{ surrogate_key([
            'source_name', '_file', '_position', 'event_type', "coalesce(item_number, '1')",
            "case when _batch_id like 'fix:%' then _batch_id end"
        ]) | indent(8) }} as delivery_id,
        source_name,
        coalesce(event_id, 'unnamed:' || content_hash) as event_id,
        content_hash,
        hospital_id,
        patient_id,
        encounter_id,
        facility,
        department_id,
        room_id,
        bed_id,
        prior_department_id,
        prior_room_id,
        prior_bed_id,
        coalesce(merged_patient_id, case when merged_into_patient_id is not null then patient_id end) as merged_patient_id,
        coalesce(merged_into_patient_id, case when merged_patient_id is not null then patient_id end)
            as surviving_patient_id,
        merged_encounter_id,
        {{ json_text('swapped_patient', 'patient_id') }} as second_patient_id,
        coalesce(merged_encounter_id, {{ json_text('swapped_patient', 'encounter_id') }}) as second_encounter_id,
        case when {{ json_text('swapped_patient', 'facility') }} <> hospital_id
            then {{ json_text('swapped_patient', 'facility') }} end as second_facility,
        {{ json_text('swapped_patient', 'department_id') }} as second_department_id,
        {{ json_text('swapped_patient', 'room_id') }} as second_room_id,
        {{ json_text('swapped_patient', 'bed_id') }} as second_bed_id,
        zbe_movement_id,
        -- text
        event_type,
        zbe_action,
        zbe_original_event,
        gender,
        withheld,
        -- numerics
        age_years,
        -- instants
        occurred_at,
        coalesce(recorded_at, _received_at) as known_at,
        expected_discharge_at,
        _received_at as received_at,
        -- lineage
        _file as source_file,
        _position as source_position
    from judged

)

select *
from deliveries
where {{ only_new('deliveries', ['delivery_id']) }}
