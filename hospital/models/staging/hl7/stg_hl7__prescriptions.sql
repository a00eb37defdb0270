-- One row per prescription (RXE) of a pharmacy message (RDE); a message sent again counts once.

with items as (

    select
        messages.*,
        {{ json_items('prescriptions') }} as item
    from (
        {{ hl7_newest('RDE') | indent(8) }}
    ) as messages
    where prescriptions is not null

),

typed as (

    select
        -- ids
        {{ surrogate_key(['message_key', json_text('item', 'item')]) }} as prescription_key,
        {{ as_text(json_text('item', 'prescription_id')) }} as prescription_id,
        {{ as_text(json_text('item', 'order_id')) }} as order_id,
        {{ as_text(json_text('item', 'filler_order_id')) }} as filler_order_id,
        {{ as_text('event_id') }} as event_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('patient_id') }} as patient_id,
        {{ as_text('encounter_id') }} as encounter_id,
        {{ as_text(json_text('item', 'physician_id')) }} as physician_id,
        -- text
        upper({{ as_text(json_text('item', 'order_control')) }}) as order_control,
        upper({{ as_text(json_text('item', 'order_status')) }}) as order_status,
        {{ as_text(json_text('item', 'code')) }} as medication_code,
        {{ as_text(json_text('item', 'name')) }} as medication_name,
        {{ as_text(json_text('item', 'code_system')) }} as code_system,
        {{ as_text(json_text('item', 'units')) }} as units,
        {{ as_text(json_text('item', 'dosage_form')) }} as dosage_form,
        {{ as_text(json_text('item', 'route')) }} as route,
        {{ as_text(json_text('item', 'frequency')) }} as frequency,
        -- numerics and flags
        {{ as_integer(json_text('item', 'item')) }} as item_number,
        {{ as_decimal(json_text('item', 'amount_minimum'), 4) }} as amount_minimum,
        {{ as_decimal(json_text('item', 'amount_maximum'), 4) }} as amount_maximum,
        {{ as_decimal(json_text('item', 'dispense_amount'), 4) }} as dispense_amount,
        {{ as_integer(json_text('item', 'refills')) }} as refills,
        -- dates and instants
        {{ hl7_instant(json_text('item', 'ordered_at')) }} as ordered_at,
        {{ hl7_instant(json_text('item', 'starts_at')) }} as starts_at,
        {{ hl7_instant(json_text('item', 'ends_at')) }} as ends_at,
        {{ hl7_instant('message_at') }} as message_at,
        -- lineage
        {{ lineage() }}
    from items

)

select * from typed
