-- The newest state of each physician.

with newest as (

    {{ newest_rows(source('hospital', 'physicians'), 'physician_id') | indent(4) }}

),

typed as (

    select
        -- ids
        {{ as_text('physician_id') }} as physician_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('department_id') }} as department_id,
        -- text
        {{ as_text('first_name') }} as first_name,
        {{ as_text('last_name') }} as last_name,
        {{ as_text('specialty') }} as specialty,
        -- dates and instants
        {{ as_date('hired_date') }} as hired_date,
        -- lineage
        {{ lineage() }}{{ audit_columns() }}
    from newest

)

select * from typed
