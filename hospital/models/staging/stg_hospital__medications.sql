-- The newest state of each medication of the formulary.

with newest as (

    {{ newest_rows(source('hospital', 'medications'), 'medication_id') | indent(4) }}

),

typed as (

    select
        -- ids
        {{ as_text('medication_id') }} as medication_id,
        {{ as_text('atc_code') }} as atc_code,
        -- text
        {{ as_text('medication_name') }} as medication_name,
        {{ as_code('route') }} as route,
        {{ as_code('strength_unit') }} as strength_unit,
        {{ as_code('ddd_unit') }} as ddd_unit,
        -- numerics and flags
        {{ as_decimal('strength', 4) }} as strength,
        {{ as_decimal('ddd', 4) }} as ddd,
        {{ as_decimal('unit_cost', 4) }} as unit_cost,
        -- lineage
        {{ lineage() }}{{ audit_columns() }}
    from newest

)

select * from typed
