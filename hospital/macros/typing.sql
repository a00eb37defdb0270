{#-
    Bronze holds text as received. These macros turn one text column into one typed column; what cannot be typed becomes
    NULL and is counted by int_data_quality, it never stops a build.
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
