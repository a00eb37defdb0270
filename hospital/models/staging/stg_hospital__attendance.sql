-- The newest state of each planned shift. Worked hours are instants apart, so a night with a clock change has 7 or 9
-- of them.

with newest as (

    {{ newest_rows(source('hospital', 'attendance'), 'attendance_id') | indent(4) }}

),

typed as (

    select
        -- ids
        {{ as_text('attendance_id') }} as attendance_id,
        {{ as_text('employee_id') }} as employee_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('department_id') }} as department_id,
        -- text
        {{ as_code('shift_type') }} as shift_type,
        {{ as_code('status') }} as status,
        -- dates and instants
        {{ as_date('shift_date') }} as shift_date,
        {{ as_instant('scheduled_start_at') }} as scheduled_start_at,
        {{ as_instant('scheduled_end_at') }} as scheduled_end_at,
        {{ as_instant('clock_in_at') }} as clock_in_at,
        {{ as_instant('clock_out_at') }} as clock_out_at,
        -- lineage
        {{ lineage() }}{{ audit_columns(['clock_in_at', 'clock_out_at']) }}
    from newest

)

select * from typed
