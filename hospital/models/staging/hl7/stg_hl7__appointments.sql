-- One row per scheduling message (SIU): the state an appointment has from that message on. A message sent again counts once.

with messages as (

    {{ hl7_newest('SIU') | indent(4) }}

),

typed as (

    select
        -- ids
        message_key,
        {{ as_text('event_id') }} as event_id,
        {{ as_text(json_text('appointment', 'appointment_id')) }} as appointment_id,
        {{ as_text(json_text('appointment', 'placer_appointment_id')) }} as placer_appointment_id,
        {{ as_text(json_text('appointment', 'filler_appointment_id')) }} as filler_appointment_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('patient_id') }} as patient_id,
        {{ as_text('encounter_id') }} as encounter_id,
        {{ as_text(json_text('appointment', 'physician_id')) }} as physician_id,
        {{ as_text(json_text('appointment', 'department_id')) }} as department_id,
        -- text
        upper({{ as_text('event_type') }}) as event_type,
        {{ as_code(json_text('appointment', 'appointment_type')) }} as appointment_type,
        {{ as_text(json_text('appointment', 'reason')) }} as reason,
        {{ as_text(json_text('appointment', 'event_reason')) }} as event_reason,
        {{ as_code(json_text('appointment', 'status')) }} as status,
        {{ as_code(json_text('appointment', 'duration_units')) }} as duration_units,
        services,
        resources,
        locations,
        personnel,
        -- numerics and flags
        {{ as_decimal(json_text('appointment', 'duration')) }} as duration,
        -- dates and instants
        {{ hl7_instant(json_text('appointment', 'starts_at')) }} as starts_at,
        {{ hl7_instant(json_text('appointment', 'ends_at')) }} as ends_at,
        {{ hl7_instant('message_at') }} as message_at,
        -- lineage
        {{ lineage() }}
    from messages

)

select * from typed
