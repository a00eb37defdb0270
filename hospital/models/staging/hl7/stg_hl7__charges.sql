-- One row per charge (FT1) of a financial message (DFT); a message sent again counts once.

with items as (

    select
        messages.*,
        {{ json_items('charges') }} as item
    from (
        {{ hl7_newest('DFT') | indent(8) }}
    ) as messages
    where charges is not null

),

typed as (

    select
        -- ids
        {{ surrogate_key(['message_key', json_text('item', 'item')]) }} as charge_key,
        {{ as_text(json_text('item', 'charge_id')) }} as charge_id,
        {{ as_text('event_id') }} as event_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('patient_id') }} as patient_id,
        {{ as_text('encounter_id') }} as encounter_id,
        {{ as_text('account_number') }} as account_number,
        {{ as_text(json_text('item', 'department_id')) }} as department_id,
        {{ as_text(json_text('item', 'physician_id')) }} as physician_id,
        {{ as_text(json_text('item', 'insurance_plan_id')) }} as insurance_plan_id,
        -- text
        upper({{ as_text(json_text('item', 'transaction_type')) }}) as transaction_type,
        {{ as_text(json_text('item', 'code')) }} as charge_code,
        {{ as_text(json_text('item', 'name')) }} as charge_name,
        {{ as_text(json_text('item', 'procedure_code')) }} as procedure_code,
        {{ as_text(json_text('item', 'diagnosis_code')) }} as diagnosis_code,
        upper({{ as_text(json_text('item', 'currency')) }}) as currency,
        -- numerics and flags
        {{ as_integer(json_text('item', 'item')) }} as item_number,
        {{ as_decimal(json_text('item', 'quantity')) }} as quantity,
        {{ as_decimal(json_text('item', 'amount')) }} as amount,
        {{ as_decimal(json_text('item', 'unit_amount')) }} as unit_amount,
        -- dates and instants
        {{ hl7_instant(json_text('item', 'charged_at')) }} as charged_at,
        {{ hl7_instant(json_text('item', 'posted_at')) }} as posted_at,
        {{ hl7_date(json_text('item', 'charged_at')) }} as charged_date,
        {{ hl7_instant('message_at') }} as message_at,
        -- lineage
        {{ lineage() }}
    from items

)

select * from typed
