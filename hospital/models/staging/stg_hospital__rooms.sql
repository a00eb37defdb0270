-- The newest state of each room.

with newest as (

    {{ newest_rows(source('hospital', 'rooms'), 'room_id') | indent(4) }}

),

typed as (

    select
        -- ids
        {{ as_text('room_id') }} as room_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('department_id') }} as department_id,
        -- text
        {{ as_text('room_number') }} as room_number,
        {{ as_code('room_type') }} as room_type,
        -- lineage
        {{ lineage() }}{{ audit_columns() }}
    from newest

)

select * from typed
