{#-
    Local time as text → the instant in UTC; NULL where the text is no time. In the night the clock goes back, an hour shows
    twice and the text does not say which: the second showing is taken, so that the event keeps a place in the order, and
    is_ambiguous_local marks it, so that no duration is measured from it.
-#}
{% macro local_to_utc(column, zone) -%}
    {{ return(adapter.dispatch('local_to_utc', 'hospital')(column, zone)) }}
{%- endmacro %}

{#- Wardlake gives NULL for a time shown twice or never: an hour later the clock is unambiguous again. -#}
{% macro default__local_to_utc(column, zone) -%}
    coalesce(
            local_to_utc({{ column }}, '{{ zone }}'),
            dateadd('hour', -1, local_to_utc(dateadd('hour', 1, try_cast({{ column }} as timestamp)), '{{ zone }}'))
        )
{%- endmacro %}

{% macro duckdb__local_to_utc(column, zone) -%}
    timezone('UTC', timezone('{{ zone }}', try_cast({{ column }} as timestamp)))
{%- endmacro %}

{#- Whether the clock shows a local time twice (autumn) or never (spring). -#}
{% macro is_ambiguous_local(column, zone) -%}
    {{ return(adapter.dispatch('is_ambiguous_local', 'hospital')(column, zone)) }}
{%- endmacro %}

{% macro default__is_ambiguous_local(column, zone) -%}
    coalesce(is_ambiguous_local({{ column }}, '{{ zone }}'), false)
{%- endmacro %}

{% macro duckdb__is_ambiguous_local(column, zone) -%}
    coalesce(
            timezone('{{ zone }}', timezone('{{ zone }}', try_cast({{ column }} as timestamp)) - interval '1 hour')
                = try_cast({{ column }} as timestamp)
            or timezone('{{ zone }}', timezone('{{ zone }}', try_cast({{ column }} as timestamp)))
                <> try_cast({{ column }} as timestamp),
            false
        )
{%- endmacro %}

{#- Whether the clock never shows a local time (spring): it went from before it to behind it. -#}
{% macro is_impossible_local(column, zone) -%}
    {{ return(adapter.dispatch('is_impossible_local', 'hospital')(column, zone)) }}
{%- endmacro %}

{#- The instant of a time that is shown comes back as that time. -#}
{% macro default__is_impossible_local(column, zone) -%}
    coalesce(
            is_ambiguous_local({{ column }}, '{{ zone }}')
            and {{ utc_to_local(local_to_utc(column, zone), zone) }} <> try_cast({{ column }} as timestamp),
            false
        )
{%- endmacro %}

{% macro duckdb__is_impossible_local(column, zone) -%}
    coalesce(
            timezone('{{ zone }}', timezone('{{ zone }}', try_cast({{ column }} as timestamp)))
                <> try_cast({{ column }} as timestamp),
            false
        )
{%- endmacro %}

{#- An instant in UTC → the local wall clock. -#}
{% macro utc_to_local(column, zone) -%}
    {{ return(adapter.dispatch('utc_to_local', 'hospital')(column, zone)) }}
{%- endmacro %}

{% macro default__utc_to_local(column, zone) -%}
    utc_to_local({{ column }}, '{{ zone }}')
{%- endmacro %}

{% macro duckdb__utc_to_local(column, zone) -%}
    timezone('{{ zone }}', timezone('UTC', {{ column }}))
{%- endmacro %}

{#- 'YYYY-MM-DD HH:MM:SS', the same text in every engine, so that keys made of it agree. -#}
{% macro time_text(column) -%}
    {{ return(adapter.dispatch('time_text', 'hospital')(column)) }}
{%- endmacro %}

{% macro default__time_text(column) -%}
    to_char({{ column }}, 'YYYY-MM-DD HH24:MI:SS')
{%- endmacro %}

{% macro duckdb__time_text(column) -%}
    strftime({{ column }}, '%Y-%m-%d %H:%M:%S')
{%- endmacro %}

{#- A date a number of days later, as a date (engines differ in whether they return a timestamp). -#}
{% macro add_days(date, days) -%}
    cast({{ dbt.dateadd('day', days, date) }} as date)
{%- endmacro %}

{#- Minutes between two instants, with fractions. -#}
{% macro minutes_between(from_at, to_at) -%}
    ({{ dbt.datediff(from_at, to_at, 'second') }} / 60.0)
{%- endmacro %}

{#- Full years lived at a date. -#}
{% macro age_years(date_of_birth, at_date) -%}
    cast(
        extract(year from {{ at_date }}) - extract(year from {{ date_of_birth }})
        - case
            when extract(month from {{ at_date }}) * 100 + extract(day from {{ at_date }})
                < extract(month from {{ date_of_birth }}) * 100 + extract(day from {{ date_of_birth }})
            then 1 else 0
        end as integer
    )
{%- endmacro %}

{#- Age bands of the reports; 90 and over is one band, as HIPAA Safe Harbor asks (45 CFR 164.514(b)(2)). -#}
{% macro age_band(age) -%}
    case
        when {{ age }} is null or {{ age }} < 0 then 'unknown'
        when {{ age }} < 1 then '00'
        when {{ age }} < 18 then '01-17'
        when {{ age }} < 40 then '18-39'
        when {{ age }} < 65 then '40-64'
        when {{ age }} < 80 then '65-79'
        when {{ age }} < 90 then '80-89'
        else '90+'
    end
{%- endmacro %}

{#- The day of an extract, from the ISO date in its file name. -#}
{% macro extract_date(file_column) -%}
    try_cast(regexp_replace({{ file_column }}, '^.*([0-9]{4}-[0-9]{2}-[0-9]{2}).*$', '\1') as date)
{%- endmacro %}

{#- When the extract that a file holds was cut, by the day in its name; NULL for a file that names none. -#}
{% macro extract_cut(file_column) -%}
    case when {{ file_column }} like '%-%' then {{ local_midnight(add_days(extract_date(file_column), 1)) }} end
{%- endmacro %}

{#- The first day of a date's month, as a date. -#}
{% macro month_of(date) -%}
    cast({{ dbt.date_trunc('month', date) }} as date)
{%- endmacro %}

{#- The instant at which a local date begins. -#}
{% macro local_midnight(date) -%}
    {{ local_to_utc(time_text('cast(' ~ date ~ ' as timestamp)'), var('time_zone')) }}
{%- endmacro %}

{#- Whether a version of a dimension held at an instant. Without an instant the first version is taken. -#}
{% macro held_at(version, at) -%}
    coalesce({{ at }}, cast('1900-01-01 00:00:00' as timestamp)) >= {{ version }}.valid_from
        and ({{ version }}.valid_to is null
            or coalesce({{ at }}, cast('1900-01-01 00:00:00' as timestamp)) < {{ version }}.valid_to)
{%- endmacro %}

{#- The first full hour at or after an instant. -#}
{% macro next_full_hour(at) -%}
    case
        when cast({{ dbt.date_trunc('hour', at) }} as timestamp) = {{ at }} then cast({{ dbt.date_trunc('hour', at) }} as timestamp)
        else cast({{ dbt.dateadd('hour', 1, dbt.date_trunc('hour', at)) }} as timestamp)
    end
{%- endmacro %}
