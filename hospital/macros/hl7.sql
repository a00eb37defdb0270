{#-
    The messages in bronze. A lake to which none was ever sent has no such table: then there are none, and everything that is
    made of messages is empty. A column that no message of the lake had yet is NULL.

    `message_key` is what a message is known by: its content. Senders use a number (MSH-10) again for messages that have nothing to do
    with each other, and those are messages of their own; a message that is sent again, or was corrected in quarantine, has its key.
-#}
{% macro hl7_messages() -%}
    {%- set messages = source('hl7', 'messages') -%}
    {%- if load_relation(messages) is none -%}
    select
        cast(null as varchar) as message_key,
        {%- for column in hl7_text_columns() %}
        cast(null as varchar) as {{ column }},
        {%- endfor %}
        cast(null as varchar) as _source,
        cast(null as varchar) as _file,
        cast(null as bigint) as _position,
        cast(null as timestamp) as _received_at,
        cast(null as varchar) as _batch_id,
        cast(null as varchar) as _row_hash,
        cast(null as varchar) as _change
    where 1 = 0
    {%- else -%}
    {%- set known = [] -%}
    {%- if execute -%}
        {%- for column in adapter.get_columns_in_relation(messages) -%}{%- do known.append(column.name | lower) -%}{%- endfor -%}
    {%- endif -%}
    select
        messages.*,
        {{ surrogate_key(['messages.message']) | indent(4) }} as message_key
        {%- for column in hl7_text_columns() if known and column not in known %},
        cast(null as varchar) as {{ column }}
        {%- endfor %}
    from {{ messages }} as messages
    {%- endif -%}
{%- endmacro %}

{#- The columns that the staging models read of a message. -#}
{% macro hl7_text_columns() -%}
    {{ return([
        'message', 'message_type', 'trigger_event', 'message_structure', 'message_control_id', 'version',
        'processing_id', 'sending_application', 'sending_facility', 'receiving_application',
        'receiving_facility', 'message_at', 'charset_note', 'event_type', 'event_id', 'event_reason',
        'occurred_at', 'event_occurred_at', 'recorded_at', 'planned_at', 'hospital_id', 'patient_id', 'patient_id_authority',
        'medical_record_number', 'national_id', 'account_number', 'family_name', 'given_name', 'birth_date',
        'gender', 'postal_code', 'phone', 'died_at', 'is_dead', 'encounter_id', 'visit_number', 'patient_class',
        'admission_type', 'department_id', 'room_id', 'bed_id', 'facility', 'bed_status',
        'prior_department_id', 'prior_room_id', 'prior_bed_id', 'prior_facility', 'temporary_department_id',
        'temporary_room_id', 'temporary_bed_id', 'pending_department_id', 'pending_room_id', 'pending_bed_id',
        'prior_temporary_department_id', 'prior_temporary_room_id', 'prior_temporary_bed_id', 'physician_id',
        'hospital_service', 'discharge_disposition', 'admitted_at', 'discharged_at', 'expected_admit_at',
        'expected_discharge_at', 'expected_return_at', 'merged_patient_id', 'merged_patient_id_authority',
        'merged_account_number', 'merged_encounter_id', 'merged_into_patient_id', 'merges', 'second_patient',
        'zbe_movement_id', 'zbe_ended_at', 'zbe_action', 'zbe_is_historic', 'zbe_original_event', 'zbe_ward',
        'next_of_kin', 'allergies', 'adverse_reactions', 'diagnoses', 'observations', 'charges',
        'prescriptions', 'appointment', 'services', 'resources', 'locations', 'personnel', 'z_segments'
    ]) }}
{%- endmacro %}

{#-
    Each message of a type once: of one that was sent again, the last. Messages of a training or test system are left out, and
    results without an order: nobody can say what they are results of. `stg_hl7__left_out` names all that is left out.
-#}
{% macro hl7_newest(message_type) -%}
    select *
    from (
        select *
        from {{ ref('stg_hl7__messages') }}
        where message_type = '{{ message_type }}'
        qualify {{ hl7_copy_number() | indent(8) }} = 1
    ) as newest
    where {{ hl7_is_production() }}
        {%- if message_type == 'ORU' %}
        and {{ hl7_has_segment('OBR') }}
        {%- endif %}
{%- endmacro %}

{#- 1 for the newest of the rows that are one message, 2 for the one before it. -#}
{% macro hl7_copy_number() -%}
    row_number() over (
        partition by message_key
        order by _received_at desc, _file desc, _position desc
    )
{%- endmacro %}

{#-
    Whether a message is meant (MSH-11, HL7 table 0103): the variable `hl7_processing_ids` names which ones are. A message that does
    not say is.
-#}
{% macro hl7_is_production() -%}
    coalesce(upper({{ as_text('processing_id') }}), 'P') in ('{{ var('hl7_processing_ids') | join("', '") | upper }}')
{%- endmacro %}

{#-
    Messages that are not meant are left out by the filter `not_production` of the model's YAML, which counts them; other engines leave
    them out in the query.
-#}
{% macro hl7_is_kept() -%}
    {{ return(adapter.dispatch('hl7_is_kept', 'hospital')()) }}
{%- endmacro %}

{% macro default__hl7_is_kept() -%}
    {{ hl7_is_production() }}
{%- endmacro %}

{% macro wardlake__hl7_is_kept() -%}
    true
{%- endmacro %}

{#- What the audit of messages about patients reads beside audit_columns(). -#}
{% macro hl7_audit_columns() -%}
    {{ return(adapter.dispatch('hl7_audit_columns', 'hospital')()) }}
{%- endmacro %}

{% macro default__hl7_audit_columns() -%}
{%- endmacro %}

{% macro wardlake__hl7_audit_columns() -%}
    ,
        {{ hl7_is_production() }} as _raw__is_production,
        {{ hl7_has_visit() }} as _raw__has_visit
{%- endmacro %}

{#- Whether a message says anything of a visit (PV1-2, PV1-3, PV1-19). -#}
{% macro hl7_has_visit() -%}
    coalesce({{ as_text('visit_number') }}, {{ as_text('patient_class') }}, {{ as_text('department_id') }}, {{ as_text('bed_id') }})
        is not null
{%- endmacro %}

{#- Whether a message has a segment of this name. -#}
{% macro hl7_has_segment(name) -%}
    strpos(message, chr(13) || '{{ name }}') > 0
{%- endmacro %}

{#-
    The instant (UTC) at which an event happened: ZBE-2, else EVN-6. Where the sender gives neither, an admission or registration
    happened at PV1-44 and a discharge at PV1-45, if these say more than a day; anything else at EVN-2, else MSH-7.
-#}
{% macro hl7_occurred_at() -%}
    coalesce(
            {{ hl7_instant('event_occurred_at') }},
            case
                when occurred_at is distinct from recorded_at then null
                when upper({{ as_text('event_type') }}) in ('A01', 'A04') and {{ is_hl7_text('admitted_at', '[0-9]{10}.*') }}
                    then {{ hl7_instant('admitted_at') }}
                when upper({{ as_text('event_type') }}) = 'A03' and {{ is_hl7_text('discharged_at', '[0-9]{10}.*') }}
                    then {{ hl7_instant('discharged_at') }}
            end,
            {{ hl7_instant('occurred_at') }}
        )
{%- endmacro %}

{#-
    HL7's way to write a time, filled up to seconds: `2026` is the first instant of that year. NULL for a text that is no time.
    Fraction and zone stay behind it as they are.
-#}
{% macro hl7_time_text(column) -%}
    case
        when {{ is_hl7_text(column, '[0-9]{4}([0-9]{2}){0,5}([.][0-9]+)?([+-][0-9]{4})?') }} then
            {{ hl7_digits(column) }}
            || substr('00000101000000', length({{ hl7_digits(column) }}) + 1)
            || substr(trim({{ column }}), length({{ hl7_digits(column) }}) + 1)
    end
{%- endmacro %}

{#- Whether all of a text is as a pattern says: what engines call the test differs, that nothing is left of it does not. -#}
{% macro is_hl7_text(column, pattern) -%}
    regexp_replace(trim({{ column }}), '^{{ pattern }}$', '') = '' and trim({{ column }}) <> ''
{%- endmacro %}

{#- The digits of an HL7 time before its fraction and zone. -#}
{% macro hl7_digits(column) -%}
    regexp_replace(trim({{ column }}), '[.+-].*$', '')
{%- endmacro %}

{#- The instant (UTC) of an HL7 time: by its own zone, or, without one, by the clock of the hospitals. -#}
{% macro hl7_instant(column) -%}
    {{ return(adapter.dispatch('hl7_instant', 'hospital')(column)) }}
{%- endmacro %}

{% macro default__hl7_instant(column) -%}
    {{ local_to_utc(hl7_time_text(column), var('time_zone')) }}
{%- endmacro %}

{% macro duckdb__hl7_instant(column) -%}
    case
        when {{ is_hl7_text(column, '.*[+-][0-9]{4}') }} then
            timezone('UTC', try_cast({{ hl7_iso_text(column) }} as timestamptz))
        else {{ local_to_utc(hl7_iso_text(column), var('time_zone')) }}
    end
{%- endmacro %}

{#- An HL7 time in the layout of ISO 8601, for engines that read no other. -#}
{% macro hl7_iso_text(column) -%}
    regexp_replace(
        {{ hl7_time_text(column) }},
        '^(....)(..)(..)(..)(..)(..)([.][0-9]+)?([+-]..)?(..)?$',
        '\1-\2-\3 \4:\5:\6\7\8\9'
    )
{%- endmacro %}

{#- The day of an HL7 time as it is written, whatever its zone; NULL where only its year or month is known. -#}
{% macro hl7_date(column) -%}
    case
        when {{ is_hl7_text(column, '[0-9]{8}.*') }} then
            try_cast(
                substr(trim({{ column }}), 1, 4) || '-' || substr(trim({{ column }}), 5, 2)
                || '-' || substr(trim({{ column }}), 7, 2) as date
            )
    end
{%- endmacro %}

{#- One row per item of a JSON array in a text column, as text; a row whose array is NULL or empty has none. -#}
{% macro json_items(column) -%}
    {{ return(adapter.dispatch('json_items', 'hospital')(column)) }}
{%- endmacro %}

{% macro default__json_items(column) -%}
    unnest(json_get_array({{ column }}))
{%- endmacro %}

{% macro duckdb__json_items(column) -%}
    unnest(from_json({{ column }}, '["json"]'))
{%- endmacro %}
