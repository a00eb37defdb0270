-- The newest state of each bed stay: one row from entering a bed to leaving it.

with newest as (

    {{ newest_rows(source('hospital', 'transfers'), 'movement_id') | indent(4) }}

),

typed as (

    select
        -- ids
        {{ as_text('movement_id') }} as movement_id,
        {{ as_text('encounter_id') }} as encounter_id,
        {{ as_text('patient_id') }} as patient_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('department_id') }} as department_id,
        {{ as_text('room_id') }} as room_id,
        {{ as_text('bed_id') }} as bed_id,
        -- text
        {{ as_code('movement_type') }} as movement_type,
        {{ as_text('reason') }} as reason,
        -- numerics and flags
        {{ has_ambiguous_time(['started_at', 'ended_at']) | indent(8) }} as has_ambiguous_time,
        -- dates and instants
        {{ as_instant('started_at') }} as started_at,
        {{ as_instant('ended_at') }} as ended_at,
        {{ as_instant('updated_at') }} as updated_at,
        cast({{ as_local_time('started_at') }} as date) as started_date,
        cast({{ as_local_time('ended_at') }} as date) as ended_date,
        -- lineage
        {{ lineage() }}{{ audit_columns(['started_at', 'ended_at']) }}
    from newest

)

select * from typed
