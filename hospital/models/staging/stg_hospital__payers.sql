-- The newest state of each payer.

with newest as (

    {{ newest_rows(source('hospital', 'payers'), 'payer_id') | indent(4) }}

),

typed as (

    select
        -- ids
        {{ as_text('payer_id') }} as payer_id,
        -- text
        {{ as_text('payer_name') }} as payer_name,
        {{ as_code('payer_type') }} as payer_type,
        -- lineage
        {{ lineage() }}{{ audit_columns() }}
    from newest

)

select * from typed
