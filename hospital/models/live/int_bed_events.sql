-- One row per delivered event of any feed, in one form: who, where, when it happened, when it was recorded, when it came. A repeat
-- of an event and a correction of it (same id, other content) are rows of their own; the ledger decides what holds.
--
-- A patient-flow event tells of two events: the admission, and the discharge planned with it. It is recorded on admission.
--
-- A wave reads the new bronze rows and nothing else, and appends.

{{ config(materialized='incremental', incremental_strategy='append') }}

{%- set adt_columns = [
    'event_id', 'event_type', 'occurred_at', 'recorded_at', 'hospital_id', 'patient_id', 'encounter_id',
    'department_id', 'room_id', 'bed_id', 'prior_department_id', 'prior_bed_id',
    'merged_into_patient_id', 'merged_patient_id', 'merged_encounter_id', 'second_patient', 'expected_discharge_at',
    'zbe_movement_id', 'zbe_action', 'zbe_original_event'
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

    {{ received_changes(source('hl7', 'messages'), ['message_type', 'gender'] + adt_columns) | indent(4) }}

),

adt_events as (

    select
        'live.adt_events' as source_name,
        {{ bed_event_columns() | indent(8) }},
        cast(null as varchar) as gender,
        cast(null as integer) as age_years,
        {{ as_instant('occurred_at') }} as occurred_at,
        {{ as_instant('recorded_at') }} as recorded_at,
        {{ as_instant('expected_discharge_at') }} as expected_discharge_at,
        _file,
        _position,
        _received_at
    from adt

),

hl7_events as (

    select
        'hl7.messages' as source_name,
        {{ bed_event_columns() | indent(8) }},
        {{ as_code('gender') }} as gender,
        cast(null as integer) as age_years,
        {{ hl7_instant('occurred_at') }} as occurred_at,
        {{ hl7_instant('recorded_at') }} as recorded_at,
        {{ hl7_instant('expected_discharge_at') }} as expected_discharge_at,
        _file,
        _position,
        _received_at
    from messages
    where message_type = 'ADT'

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
        _file,
        _position,
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
        department_id,
        cast(null as varchar) as room_id,
        bed_id,
        cast(null as varchar) as prior_department_id,
        cast(null as varchar) as prior_bed_id,
        cast(null as varchar) as merged_into_patient_id,
        cast(null as varchar) as merged_patient_id,
        cast(null as varchar) as merged_encounter_id,
        cast(null as varchar) as second_patient,
        cast(null as varchar) as zbe_movement_id,
        cast(null as varchar) as zbe_action,
        cast(null as varchar) as zbe_original_event,
        gender,
        age_years,
        occurred_at,
        admitted_at as recorded_at,
        cast(null as timestamp) as expected_discharge_at,
        _file,
        _position,
        _received_at
    from flow_events

),

judged as (

    select
        *,
        {{ surrogate_key([
            'event_type', 'hospital_id', 'patient_id', 'encounter_id', 'department_id', 'room_id', 'bed_id',
            'prior_department_id', 'prior_bed_id', 'merged_into_patient_id', 'merged_patient_id', 'merged_encounter_id',
            'second_patient', 'zbe_movement_id', 'zbe_action', 'zbe_original_event', 'occurred_at', 'recorded_at',
            'expected_discharge_at'
        ]) | indent(8) }} as content_hash
    from events

),

deliveries as (

    select
        -- ids
        {{ surrogate_key(['source_name', '_file', '_position', 'event_type']) | indent(8) }} as delivery_id,
        source_name,
        coalesce(event_id, 'unnamed:' || content_hash) as event_id,
        content_hash,
        hospital_id,
        patient_id,
        encounter_id,
        department_id,
        room_id,
        bed_id,
        prior_department_id,
        prior_bed_id,
        coalesce(merged_patient_id, case when merged_into_patient_id is not null then patient_id end) as merged_patient_id,
        coalesce(merged_into_patient_id, case when merged_patient_id is not null then patient_id end)
            as surviving_patient_id,
        merged_encounter_id,
        {{ json_text('second_patient', 'patient_id') }} as second_patient_id,
        coalesce(merged_encounter_id, {{ json_text('second_patient', 'encounter_id') }}) as second_encounter_id,
        {{ json_text('second_patient', 'department_id') }} as second_department_id,
        {{ json_text('second_patient', 'room_id') }} as second_room_id,
        {{ json_text('second_patient', 'bed_id') }} as second_bed_id,
        zbe_movement_id,
        -- text
        event_type,
        zbe_action,
        zbe_original_event,
        gender,
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
