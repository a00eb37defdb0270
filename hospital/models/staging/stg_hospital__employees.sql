-- The newest state of each employee who is neither physician nor nurse.

with newest as (

    {{ newest_rows(source('hospital', 'employees'), 'employee_id') | indent(4) }}

),

typed as (

    select
        -- ids
        {{ as_text('employee_id') }} as employee_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('department_id') }} as department_id,
        -- text
        {{ as_text('first_name') }} as first_name,
        {{ as_text('last_name') }} as last_name,
        {{ as_text('role') }} as role,
        -- dates and instants
        {{ as_date('hired_date') }} as hired_date,
        {{ as_date('left_date') }} as left_date,
        -- lineage
        {{ lineage() }}{{ audit_columns() }}
    from newest

)

select * from typed
