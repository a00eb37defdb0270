-- The newest state of each bill.

with newest as (

    {{ newest_rows(source('hospital', 'billing'), 'bill_id') | indent(4) }}

),

typed as (

    select
        -- ids
        {{ as_text('bill_id') }} as bill_id,
        {{ as_text('encounter_id') }} as encounter_id,
        {{ as_text('patient_id') }} as patient_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('insurance_id') }} as insurance_id,
        -- text
        {{ as_code('payment_status') }} as payment_status,
        {{ as_code('payment_method') }} as payment_method,
        -- numerics and flags
        {{ as_decimal('amount') }} as amount,
        {{ as_decimal('discount') }} as discount,
        {{ as_decimal('tax') }} as tax,
        {{ as_decimal('final_amount') }} as final_amount,
        {{ as_decimal('amount_paid') }} as amount_paid,
        -- dates and instants
        {{ as_date('bill_date') }} as bill_date,
        {{ as_date('payment_date') }} as payment_date,
        {{ as_instant('updated_at') }} as updated_at,
        -- lineage
        {{ lineage() }}{{ audit_columns() }}
    from newest

)

select * from typed
