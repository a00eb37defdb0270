-- The newest state of each claim.

with newest as (

    {{ newest_rows(source('hospital', 'claims'), 'claim_id') | indent(4) }}

),

typed as (

    select
        -- ids
        {{ as_text('claim_id') }} as claim_id,
        {{ as_text('bill_id') }} as bill_id,
        {{ as_text('encounter_id') }} as encounter_id,
        {{ as_text('patient_id') }} as patient_id,
        {{ as_text('payer_id') }} as payer_id,
        -- text
        {{ as_code('status') }} as status,
        {{ as_text('denial_code') }} as denial_code,
        {{ as_text('denial_reason') }} as denial_reason,
        -- numerics and flags
        {{ as_decimal('billed_amount') }} as billed_amount,
        {{ as_decimal('allowed_amount') }} as allowed_amount,
        {{ as_decimal('paid_amount') }} as paid_amount,
        -- dates and instants
        {{ as_instant('submitted_at') }} as submitted_at,
        {{ as_instant('adjudicated_at') }} as adjudicated_at,
        {{ as_instant('updated_at') }} as updated_at,
        cast({{ as_local_time('submitted_at') }} as date) as submitted_date,
        cast({{ as_local_time('adjudicated_at') }} as date) as adjudicated_date,
        -- lineage
        {{ lineage() }}{{ audit_columns(['submitted_at', 'adjudicated_at']) }}
    from newest

)

select * from typed
