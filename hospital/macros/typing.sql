{#-
    Bronze holds text as received. These macros turn one text column into one typed column; what cannot be typed becomes
    NULL: Wardlake withholds such a row (the expectation `typed`), other engines keep it, and it never stops a build.
-#}

{#- Trimmed text; an empty field is unknown. -#}
{% macro as_text(column) -%}
    nullif(trim({{ column }}), '')
{%- endmacro %}

{#- A code list value in lower case. -#}
{% macro as_code(column) -%}
    lower(nullif(trim({{ column }}), ''))
{%- endmacro %}

{% macro as_integer(column) -%}
    try_cast(trim({{ column }}) as integer)
{%- endmacro %}

{#- Money and other exact numbers. -#}
{% macro as_decimal(column, scale=2) -%}
    try_cast(trim({{ column }}) as decimal(18,{{ scale }}))
{%- endmacro %}

{% macro as_date(column) -%}
    try_cast(trim({{ column }}) as date)
{%- endmacro %}

{#- The wall clock as the hospital wrote it: for local dates and hours, never for durations. -#}
{% macro as_local_time(column) -%}
    try_cast(trim({{ column }}) as timestamp)
{%- endmacro %}

{#- The instant (UTC) of a local time: for order and durations. -#}
{% macro as_instant(column) -%}
    {{ local_to_utc('trim(' ~ column ~ ')', var('time_zone')) }}
{%- endmacro %}

{#- Whether any of these local times is one that the clock shows twice or never. -#}
{% macro has_ambiguous_time(columns) -%}
    {%- for column in columns %}
    {{ is_ambiguous_local('trim(' ~ column ~ ')', var('time_zone')) }}{{ ' or' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{#- Whether any of these local times is one that the clock never shows. -#}
{% macro has_impossible_time(columns) -%}
    {%- for column in columns %}
    {{ is_impossible_local('trim(' ~ column ~ ')', var('time_zone')) }}{{ ' or' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{#-
    The standard value of a code list, from the repair `standardise` in the model's YAML: the standard values themselves, the
    `codes` its sources agreed on, and the `spellings` that are a repair. What none of them names is `otherwise`.
-#}
{% macro standardised(column, otherwise='unknown') -%}
    {%- set declared = {} -%}
    {%- for repair in (config.get('meta') or {}).get('wardlake', {}).get('repairs', []) if repair.get('standardise') == column -%}
        {%- for texts in [repair.get('codes', {}), repair.spellings] -%}
            {%- for standard, others in texts.items() -%}
                {%- do declared.update({standard: declared.get(standard, [standard]) + ([others] if others is string else others)}) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    case
        {%- for standard, texts in declared.items() %}
        when lower(trim({{ column }})) in ('{{ texts | map('lower') | unique | join("', '") }}') then '{{ standard }}'
        {%- endfor %}
        {#- While a project is parsed there is nothing declared yet, and a CASE without a branch is no SQL. #}
        when {{ column }} is null then '{{ otherwise }}'
        else '{{ otherwise }}'
    end
{%- endmacro %}

{#-
    Whether one of these texts was read in another encoding than it was written in. UTF-8 read as Latin-1 or Windows-1252 shows a letter
    as Ã or Â and a second character that no word has there; a lost byte is the replacement character. Ã and Â alone are letters: JOÃO,
    ÂNGELA.
-#}
{% macro is_damaged_text(columns) -%}
    {%- set texts = "concat_ws(' ', " ~ columns | join(', ') ~ ")" -%}
    coalesce(regexp_replace({{ texts }}, '[ÃÂ][\x{80}-\x{BF}?€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|�', '') <> {{ texts }}, false)
{%- endmacro %}

{#- The text of one field of a JSON object. -#}
{% macro json_text(column, field) -%}
    {{ return(adapter.dispatch('json_text', 'hospital')(column, field)) }}
{%- endmacro %}

{% macro default__json_text(column, field) -%}
    nullif(trim(json_value({{ column }}, '$.{{ field }}')), '')
{%- endmacro %}

{% macro duckdb__json_text(column, field) -%}
    nullif(trim(json_extract_string({{ column }}, '$.{{ field }}')), '')
{%- endmacro %}

{#-
    Text that owns its bytes. What an engine reads from a file may be a view into the file's buffers; sorted more than once, each
    batch of such rows holds on to the buffers of all of them.
-#}
{% macro plain_text(column) -%}
    {{ return(adapter.dispatch('plain_text', 'hospital')(column)) }}
{%- endmacro %}

{% macro default__plain_text(column) -%}
    {{ column }}
{%- endmacro %}

{% macro wardlake__plain_text(column) -%}
    arrow_cast({{ column }}, 'Utf8')
{%- endmacro %}
