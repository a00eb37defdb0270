-- One row per admission, discharge or transfer event; an event delivered twice counts once.

with newest as (

    {{ newest_rows(source('hospital', 'adt'), 'event_id') | indent(4) }}

),

typed as (

    select
        -- ids
        {{ as_text('event_id') }} as event_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('patient_id') }} as patient_id,
        {{ as_text('encounter_id') }} as encounter_id,
        {{ as_text('department_id') }} as department_id,
        {{ as_text('room_id') }} as room_id,
        {{ as_text('bed_id') }} as bed_id,
        {{ as_text('prior_department_id') }} as prior_department_id,
        {{ as_text('prior_bed_id') }} as prior_bed_id,
        {{ as_text('merged_into_patient_id') }} as merged_into_patient_id,
        -- text
        upper({{ as_text('event_type') }}) as event_type,
        -- dates and instants
        {{ as_instant('occurred_at') }} as occurred_at,
        {{ as_instant('recorded_at') }} as recorded_at,
        -- lineage
        {{ lineage() }}{{ audit_columns(['occurred_at', 'recorded_at']) }}
    from newest

)

select * from typed
