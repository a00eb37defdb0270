-- The newest state of each appointment.

with newest as (

    {{ newest_rows(source('hospital', 'appointments'), 'appointment_id') | indent(4) }}

),

typed as (

    select
        -- ids
        {{ as_text('appointment_id') }} as appointment_id,
        {{ as_text('patient_id') }} as patient_id,
        {{ as_text('physician_id') }} as physician_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('department_id') }} as department_id,
        -- text
        {{ as_code('appointment_type') }} as appointment_type,
        {{ as_code('status') }} as status,
        -- numerics and flags
        {{ as_integer('duration_minutes') }} as duration_minutes,
        -- dates and instants
        {{ as_instant('booked_at') }} as booked_at,
        {{ as_instant('scheduled_at') }} as scheduled_at,
        {{ as_instant('checked_in_at') }} as checked_in_at,
        {{ as_instant('updated_at') }} as updated_at,
        cast({{ as_local_time('booked_at') }} as date) as booked_date,
        cast({{ as_local_time('scheduled_at') }} as date) as scheduled_date,
        {{ as_date('follow_up_date') }} as follow_up_date,
        -- lineage
        {{ lineage() }}{{ audit_columns(['booked_at', 'checked_in_at']) }}
    from newest

)

select * from typed
