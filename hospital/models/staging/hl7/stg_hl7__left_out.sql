-- One row per message that is in bronze and goes no further, with the reason: it is there a second time, is of a training or test system,
-- or lacks a segment that its type and trigger need. Nothing of it is in a stay, a census or a figure.

with received as (

    select *, {{ hl7_copy_number() | indent(4) }} as copy_number
    from {{ ref('stg_hl7__messages') }}

),

judged as (

    select
        messages.*,
        case
            when messages.copy_number > 1 then 'repeated'
            when not {{ hl7_is_production() }} then 'not_production'
            when messages.message_type = 'ADT'
                and {{ as_text('messages.patient_id') }} is null
                and upper({{ as_text('messages.event_type') }}) <> 'A20'
                then 'no_patient'
            when messages.message_type = 'ADT'
                and triggers.role in ('register', 'admit', 'move', 'leave', 'return', 'depart', 'plan', 'cancel', 'swap', 'delete')
                and not {{ hl7_has_visit() }}
                then 'no_visit'
            when messages.message_type = 'ORU' and not {{ hl7_has_segment('OBR') }} then 'no_order'
        end as reason
    from received as messages
    left join {{ ref('int_adt_triggers') }} as triggers on triggers.event_type = upper({{ as_text('messages.event_type') }})

)

select
    message_key,
    {{ as_text('event_id') }} as event_id,
    {{ as_text('hospital_id') }} as hospital_id,
    message_type,
    upper({{ as_text('event_type') }}) as event_type,
    upper({{ as_text('processing_id') }}) as processing_id,
    reason,
    _received_at as received_at,
    -- lineage
    {{ lineage() }}
from judged
where reason is not null
