{# What the warehouse holds, and what a query would give. #}

{% macro get_columns_in_query(select_sql) %}
    {%- do return(adapter.dispatch('get_columns_in_query', 'dbt')(select_sql)) -%}
{% endmacro %}

{% macro default__get_columns_in_query(select_sql) %}
    {%- do return(adapter.get_column_schema_from_query(select_sql) | map(attribute='name') | list) -%}
{% endmacro %}

{% macro get_column_schema_from_query(select_sql, select_sql_header=none) %}
    {%- do return(adapter.get_column_schema_from_query(select_sql)) -%}
{% endmacro %}

{% macro get_empty_subquery_sql(select_sql, select_sql_header=none) %}
select * from (
{{ select_sql }}
) as dbt_sbq
where false
limit 0
{% endmacro %}

{% macro get_limit_sql(sql, limit) %}
{{ sql }}
{{ 'limit ' ~ limit if limit is not none }}
{% endmacro %}

{% macro drop_relation_if_exists(relation) %}
    {%- if relation is not none -%}
        {%- do adapter.drop_relation(relation) -%}
    {%- endif -%}
{% endmacro %}

{% macro make_temp_relation(base_relation, suffix='__dbt_tmp') %}
    {%- do return(base_relation.incorporate(path={'identifier': base_relation.identifier ~ suffix})) -%}
{% endmacro %}

{% macro make_intermediate_relation(base_relation, suffix='__dbt_tmp') %}
    {%- do return(make_temp_relation(base_relation, suffix)) -%}
{% endmacro %}

{% macro make_backup_relation(base_relation, backup_relation_type, suffix='__dbt_backup') %}
    {%- do return(make_temp_relation(base_relation, suffix).incorporate(type=backup_relation_type)) -%}
{% endmacro %}

{% macro get_quoted_csv(column_names) %}
    {%- set quoted = [] -%}
    {%- for name in column_names -%}
        {%- do quoted.append(adapter.quote(name)) -%}
    {%- endfor -%}
    {%- do return(quoted | join(', ')) -%}
{% endmacro %}

{# Columns of the first list that the second lacks, by name. #}
{% macro diff_columns(source_columns, target_columns) %}
    {%- set known = target_columns | map(attribute='name') | list -%}
    {%- set missing = [] -%}
    {%- for column in source_columns if column.name not in known -%}
        {%- do missing.append(column) -%}
    {%- endfor -%}
    {%- do return(missing) -%}
{% endmacro %}

{# A hook that runs outside the model's transaction, and one that runs inside. #}
{% macro after_commit(sql) %}
    {%- do return({'sql': sql, 'transaction': False}) -%}
{% endmacro %}

{% macro before_begin(sql) %}
    {%- do return({'sql': sql, 'transaction': False}) -%}
{% endmacro %}

{% macro in_transaction(sql) %}
    {%- do return({'sql': sql, 'transaction': True}) -%}
{% endmacro %}
