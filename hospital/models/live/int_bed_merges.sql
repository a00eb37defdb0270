-- One row per event that says two numbers are one: a patient's record or an encounter (`from_id`) lives on as another (`to_id`).
-- `identity` says whether both are of one person (merge), or what hung on one of them was handed to the other (move).
-- A wave reads the new events and appends the few of them that are merges.

{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='append_new_columns') }}

with events as (

    select events.*, triggers.role, triggers.identity, triggers.identity_of
    from {{ changes(ref('int_bed_events')) }} as events
    inner join {{ ref('int_adt_triggers') }} as triggers on events.event_type = triggers.event_type
    where triggers.role in ('merge', 'reassign')
        and events.withheld is null
        and events.hospital_id is not null
        and events.occurred_at is not null

),

merges as (

    select
        delivery_id,
        event_id,
        content_hash,
        hospital_id,
        'patient' as id_type,
        merged_patient_id as from_id,
        surviving_patient_id as to_id,
        identity,
        occurred_at,
        known_at,
        received_at,
        source_file,
        source_position
    from events
    -- A visit that moves to another patient leaves two patients two, and so does a merge of two of their visits.
    where identity_of in ('patient', 'patient and account')
        and merged_patient_id <> surviving_patient_id
    union all
    select
        delivery_id,
        event_id,
        content_hash,
        hospital_id,
        'encounter' as id_type,
        merged_encounter_id as from_id,
        encounter_id as to_id,
        identity,
        occurred_at,
        known_at,
        received_at,
        source_file,
        source_position
    from events
    where merged_encounter_id <> encounter_id

)

select *
from merges
where {{ only_new('merges', ['delivery_id', 'id_type']) }}
