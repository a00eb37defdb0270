-- The newest state of each hospital.

with newest as (

    {{ newest_rows(source('hospital', 'hospitals'), 'hospital_id') | indent(4) }}

),

typed as (

    select
        -- ids
        {{ as_text('hospital_id') }} as hospital_id,
        -- text
        {{ as_text('hospital_name') }} as hospital_name,
        {{ as_text('city') }} as city,
        {{ as_text('state') }} as state,
        {{ as_text('time_zone') }} as time_zone,
        {{ as_code('hospital_type') }} as hospital_type,
        -- numerics and flags
        {{ as_integer('bed_count') }} as bed_count,
        -- dates and instants
        {{ as_date('opened_date') }} as opened_date,
        -- lineage
        {{ lineage() }}{{ audit_columns() }}
    from newest

)

select * from typed
