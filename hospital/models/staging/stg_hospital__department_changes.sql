-- Every state of each department that an extract brought, one row per bronze row: the history from which
-- int_department_versions builds its versions. A delete is a row too: it ends the version before it.

with received as (

    {{ received_rows(source('hospital', 'departments'), 'department_id') | indent(4) }}

),

typed as (

    select
        -- ids
        {{ as_text('department_id') }} as department_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('head_physician_id') }} as head_physician_id,
        -- text
        {{ as_text('department_name') }} as department_name,
        {{ as_code('department_type') }} as department_type,
        {{ as_text('floor') }} as floor,
        -- numerics and flags
        {{ as_integer('staffed_beds') }} as staffed_beds,
        -- dates and instants
        {{ as_instant('updated_at') }} as updated_at,
        {{ extract_date('_file') }} as extract_date,
        coalesce(_change, 'insert') = 'delete' as is_delete,
        -- lineage
        {{ lineage() }},
        _received_at as received_at{{ audit_columns() }}
    from received

)

select * from typed
