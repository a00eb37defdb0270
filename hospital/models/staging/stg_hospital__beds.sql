-- The newest state of each bed.

with newest as (

    {{ newest_rows(source('hospital', 'beds'), 'bed_id') | indent(4) }}

),

typed as (

    select
        -- ids
        {{ as_text('bed_id') }} as bed_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('department_id') }} as department_id,
        {{ as_text('room_id') }} as room_id,
        -- text
        {{ as_text('bed_label') }} as bed_label,
        {{ as_code('bed_type') }} as bed_type,
        {{ as_code('status') }} as status,
        coalesce({{ as_code('is_staffed') }} in ('y', 'yes', 'true', '1'), false) as is_staffed,
        -- lineage
        {{ lineage() }}{{ audit_columns() }}
    from newest

)

select * from typed
