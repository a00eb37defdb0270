{#-
    The messages in bronze. A lake to which none was ever sent has no such table: then there are none, and everything that is
    made of messages is empty.
-#}
{% macro hl7_messages() -%}
    {%- set messages = source('hl7', 'messages') -%}
    {%- if load_relation(messages) is none -%}
    select
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
    select * from {{ messages }}
    {%- endif -%}
{%- endmacro %}

{#- The columns that the staging models read of a message. -#}
{% macro hl7_text_columns() -%}
    {{ return([
        'message', 'message_type', 'trigger_event', 'message_structure', 'message_control_id', 'version',
        'processing_id', 'sending_application', 'sending_facility', 'receiving_application',
        'receiving_facility', 'message_at', 'charset_note', 'event_type', 'event_id', 'event_reason',
        'occurred_at', 'recorded_at', 'planned_at', 'hospital_id', 'patient_id', 'patient_id_authority',
        'medical_record_number', 'national_id', 'account_number', 'family_name', 'given_name', 'birth_date',
        'gender', 'postal_code', 'phone', 'died_at', 'is_dead', 'encounter_id', 'patient_class',
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

{#- Each message of a type once: of one that was sent again, the last. -#}
{% macro hl7_newest(message_type) -%}
    select *
    from {{ ref('stg_hl7__messages') }}
    where message_type = '{{ message_type }}'
    qualify row_number() over (
        partition by event_id
        order by _received_at desc, _file desc, _position desc
    ) = 1
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
