{# The four generic tests. Each selects the rows that fail; NULLs only fail `not_null`. #}

{% test unique(model, column_name) %}
    {{- adapter.dispatch('test_unique', 'dbt')(model, column_name) -}}
{% endtest %}

{% macro default__test_unique(model, column_name) %}
select
    {{ column_name }} as unique_field,
    count(*) as n_records
from {{ model }}
where {{ column_name }} is not null
group by {{ column_name }}
having count(*) > 1
{% endmacro %}

{% test not_null(model, column_name) %}
    {{- adapter.dispatch('test_not_null', 'dbt')(model, column_name) -}}
{% endtest %}

{% macro default__test_not_null(model, column_name) %}
select {{ '*' if should_store_failures() else column_name }}
from {{ model }}
where {{ column_name }} is null
{% endmacro %}

{% test accepted_values(model, column_name, values, quote=True) %}
    {{- adapter.dispatch('test_accepted_values', 'dbt')(model, column_name, values, quote) -}}
{% endtest %}

{% macro default__test_accepted_values(model, column_name, values, quote=True) %}
select
    {{ column_name }} as value_field,
    count(*) as n_records
from {{ model }}
where {{ column_name }} not in (
    {%- for value in values %}
    {{ "'" ~ dbt.escape_single_quotes(value | string) ~ "'" if quote else value }}{{ ',' if not loop.last }}
    {%- endfor %}
)
group by {{ column_name }}
{% endmacro %}

{% test relationships(model, column_name, to, field) %}
    {{- adapter.dispatch('test_relationships', 'dbt')(model, column_name, to, field) -}}
{% endtest %}

{% macro default__test_relationships(model, column_name, to, field) %}
select child.from_field
from (
    select {{ column_name }} as from_field
    from {{ model }}
    where {{ column_name }} is not null
) as child
left join (
    select {{ field }} as to_field
    from {{ to }}
) as parent on child.from_field = parent.to_field
where parent.to_field is null
{% endmacro %}

{# The tested relation, or the part of it that the test's `where` keeps. #}
{% macro get_where_subquery(relation) %}
    {%- do return(adapter.dispatch('get_where_subquery', 'dbt')(relation)) -%}
{% endmacro %}

{% macro default__get_where_subquery(relation) %}
    {%- set where = config.get('where', '') -%}
    {%- if where -%}
        {%- do return('(select * from ' ~ relation ~ ' where ' ~ where ~ ') dbt_subquery') -%}
    {%- endif -%}
    {%- do return(relation) -%}
{% endmacro %}

{# Whether a test keeps the rows it found: its own config decides, then the command line. #}
{% macro should_store_failures() %}
    {%- set configured = config.get('store_failures') -%}
    {%- do return(flags.STORE_FAILURES if configured is none else configured) -%}
{% endmacro %}

{# How many rows fail, and whether that is a warning or an error. #}
{% macro get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) %}
    {{- adapter.dispatch('get_test_sql', 'dbt')(main_sql, fail_calc, warn_if, error_if, limit) -}}
{% endmacro %}

{% macro default__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) %}
select
    {{ fail_calc }} as failures,
    {{ fail_calc }} {{ warn_if }} as should_warn,
    {{ fail_calc }} {{ error_if }} as should_error
from (
{{ main_sql }}
{{ 'limit ' ~ limit if limit is not none }}
) as dbt_internal_test
{% endmacro %}
