{# Dates and times. #}

{% macro current_timestamp() %}{{ return(adapter.dispatch('current_timestamp', 'dbt')()) }}{% endmacro %}
{% macro default__current_timestamp() %}current_timestamp{% endmacro %}

{% macro current_timestamp_backcompat() %}{{ return(dbt.current_timestamp()) }}{% endmacro %}
{% macro current_timestamp_in_utc_backcompat() %}{{ return(dbt.current_timestamp()) }}{% endmacro %}
{% macro current_timestamp_in_utc() %}{{ return(dbt.current_timestamp()) }}{% endmacro %}

{% macro snapshot_get_time() %}{{ return(adapter.dispatch('snapshot_get_time', 'dbt')()) }}{% endmacro %}
{% macro default__snapshot_get_time() %}{{ dbt.current_timestamp() }}{% endmacro %}

{% macro dateadd(datepart, interval, from_date_or_timestamp) %}{{ return(adapter.dispatch('dateadd', 'dbt')(datepart, interval, from_date_or_timestamp)) }}{% endmacro %}
{% macro default__dateadd(datepart, interval, from_date_or_timestamp) %}dateadd('{{ datepart }}', {{ interval }}, {{ from_date_or_timestamp }}){% endmacro %}

{% macro datediff(first_date, second_date, datepart) %}{{ return(adapter.dispatch('datediff', 'dbt')(first_date, second_date, datepart)) }}{% endmacro %}
{% macro default__datediff(first_date, second_date, datepart) %}datediff('{{ datepart }}', {{ first_date }}, {{ second_date }}){% endmacro %}

{% macro date_trunc(datepart, date) %}{{ return(adapter.dispatch('date_trunc', 'dbt')(datepart, date)) }}{% endmacro %}
{% macro default__date_trunc(datepart, date) %}date_trunc('{{ datepart }}', {{ date }}){% endmacro %}

{# The day before the next period starts. #}
{% macro last_day(date, datepart) %}{{ return(adapter.dispatch('last_day', 'dbt')(date, datepart)) }}{% endmacro %}
{% macro default__last_day(date, datepart) %}
{%- if datepart == 'month' -%}
    last_day({{ date }})
{%- else -%}
    cast({{ dbt.dateadd('day', '-1', dbt.dateadd(datepart, '1', dbt.date_trunc(datepart, date))) }} as date)
{%- endif -%}
{% endmacro %}

{% macro date(year, month, day) %}{{ return(adapter.dispatch('date', 'dbt')(year, month, day)) }}{% endmacro %}
{% macro default__date(year, month, day) %}cast('{{ '%04d-%02d-%02d' % (year | int, month | int, day | int) }}' as date){% endmacro %}

{# Every period from the start up to, but without, the end, as `date_<part>`. #}
{% macro date_spine(datepart, start_date, end_date) %}{{ return(adapter.dispatch('date_spine', 'dbt')(datepart, start_date, end_date)) }}{% endmacro %}
{% macro default__date_spine(datepart, start_date, end_date) %}
select periods.date_{{ datepart }}
from (
    select unnest(generate_series(
        cast({{ start_date }} as timestamp),
        cast({{ end_date }} as timestamp),
        {% if datepart == 'quarter' %}interval '3 months'{% else %}interval '1 {{ datepart }}'{% endif %}
    )) as date_{{ datepart }}
) as periods
where periods.date_{{ datepart }} < cast({{ end_date }} as timestamp)
{% endmacro %}

{# The numbers 1 to `upper_bound` as `generated_number`. #}
{% macro generate_series(upper_bound) %}{{ return(adapter.dispatch('generate_series', 'dbt')(upper_bound)) }}{% endmacro %}
{% macro default__generate_series(upper_bound) %}
select numbers.generated_number
from (select unnest(range(1, {{ upper_bound }} + 1)) as generated_number) as numbers
{% endmacro %}

{# How many periods lie between two dates; asks the warehouse, so it is 0 in the first pass. #}
{% macro get_intervals_between(start_date, end_date, datepart) %}{{ return(adapter.dispatch('get_intervals_between', 'dbt')(start_date, end_date, datepart)) }}{% endmacro %}
{% macro default__get_intervals_between(start_date, end_date, datepart) %}
{%- set found = run_query('select ' ~ dbt.datediff(start_date, end_date, datepart) ~ ' as intervals') if execute else none -%}
{%- if found and found.rows | length > 0 -%}
    {%- do return(found.rows[0][0]) -%}
{%- endif -%}
{%- do return(0) -%}
{% endmacro %}

{# Every date between two dates (as text), both included. #}
{% macro dates_in_range(start_date_str, end_date_str=none, in_fmt='%Y%m%d', out_fmt='%Y%m%d') %}
    {%- set first = modules.datetime.datetime.strptime(start_date_str, in_fmt) -%}
    {%- set last = modules.datetime.datetime.strptime(end_date_str, in_fmt) if end_date_str else first -%}
    {%- set days = (last - first).days -%}
    {%- if days < 0 -%}
        {%- do exceptions.raise_compiler_error('The range of dates ends before it starts: ' ~ start_date_str ~ ' to ' ~ end_date_str) -%}
    {%- endif -%}
    {%- set dates = [] -%}
    {%- for offset in range(days + 1) -%}
        {%- do dates.append((first + modules.datetime.timedelta(days=offset)).strftime(out_fmt)) -%}
    {%- endfor -%}
    {%- do return(dates) -%}
{% endmacro %}

{% macro partition_range(raw_partition_date, date_fmt='%Y%m%d') %}
    {%- set dates = (raw_partition_date | string).split(',') -%}
    {%- if dates | length > 2 -%}
        {%- do exceptions.raise_compiler_error('A range of partitions is one date or two, not: ' ~ raw_partition_date) -%}
    {%- endif -%}
    {%- do return(dates_in_range(dates[0], dates[1] if dates | length > 1 else none, in_fmt=date_fmt)) -%}
{% endmacro %}

{% macro py_current_timestring() %}
    {%- do return(modules.datetime.datetime.now().strftime('%Y%m%d%H%M%S%f')) -%}
{% endmacro %}
