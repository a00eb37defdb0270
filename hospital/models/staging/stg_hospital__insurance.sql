-- The newest state of each insurance cover of a patient.

with newest as (

    {{ newest_rows(source('hospital', 'insurance'), 'insurance_id') | indent(4) }}

),

typed as (

    select
        -- ids
        {{ as_text('insurance_id') }} as insurance_id,
        {{ as_text('patient_id') }} as patient_id,
        {{ as_text('payer_id') }} as payer_id,
        -- text
        {{ as_text('plan_name') }} as plan_name,
        {{ as_code('coverage_type') }} as coverage_type,
        -- numerics and flags
        {{ as_decimal('premium') }} as premium,
        -- dates and instants
        {{ as_date('coverage_start_date') }} as coverage_start_date,
        {{ as_date('coverage_end_date') }} as coverage_end_date,
        -- lineage
        {{ lineage() }}{{ audit_columns() }}
    from newest

)

select * from typed
