-- One row per observation (OBX) of a result message (ORU); a message sent again counts once.

with items as (

    select
        messages.*,
        {{ json_items('observations') }} as item
    from (
        {{ hl7_newest('ORU') | indent(8) }}
    ) as messages
    where observations is not null

),

typed as (

    select
        -- ids
        {{ surrogate_key(['message_key', json_text('item', 'item')]) }} as observation_id,
        {{ as_text('event_id') }} as event_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('patient_id') }} as patient_id,
        {{ as_text('encounter_id') }} as encounter_id,
        {{ as_text('department_id') }} as department_id,
        {{ as_text(json_text('item', 'order_id')) }} as order_id,
        {{ as_text(json_text('item', 'filler_order_id')) }} as filler_order_id,
        -- text
        {{ as_text(json_text('item', 'order_code')) }} as order_code,
        {{ as_text(json_text('item', 'order_name')) }} as order_name,
        {{ as_text(json_text('item', 'code')) }} as observation_code,
        {{ as_text(json_text('item', 'name')) }} as observation_name,
        {{ as_text(json_text('item', 'code_system')) }} as code_system,
        upper({{ as_text(json_text('item', 'value_type')) }}) as value_type,
        {{ as_text(json_text('item', 'value')) }} as value_text,
        {{ as_text(json_text('item', 'units')) }} as units,
        {{ as_text(json_text('item', 'reference_range')) }} as reference_range,
        {{ as_text(json_text('item', 'abnormal_flags')) }} as abnormal_flags,
        upper({{ as_text(json_text('item', 'status')) }}) as status,
        -- numerics and flags
        {{ as_integer(json_text('item', 'item')) }} as item_number,
        case
            when upper({{ as_text(json_text('item', 'value_type')) }}) = 'NM'
            then {{ as_decimal(json_text('item', 'value'), 6) }}
        end as value_number,
        -- dates and instants
        {{ hl7_instant(json_text('item', 'observed_at')) }} as observed_at,
        {{ hl7_instant(json_text('item', 'reported_at')) }} as reported_at,
        {{ hl7_instant('message_at') }} as message_at,
        -- lineage
        {{ lineage() }}
    from items

)

select * from typed
