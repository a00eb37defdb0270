-- The newest state of each nurse.

with newest as (

    {{ newest_rows(source('hospital', 'nurses'), 'nurse_id') | indent(4) }}

),

typed as (

    select
        -- ids
        {{ as_text('nurse_id') }} as nurse_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('department_id') }} as department_id,
        -- text
        {{ as_text('first_name') }} as first_name,
        {{ as_text('last_name') }} as last_name,
        {{ as_text('grade') }} as grade,
        -- dates and instants
        {{ as_date('hired_date') }} as hired_date,
        -- lineage
        {{ lineage() }}{{ audit_columns() }}
    from newest

)

select * from typed
