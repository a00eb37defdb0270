{#-
    The rows of a relation that the model has not consumed yet. Wardlake knows which those are and notes in the model's own
    commit what was consumed; a first run or a full refresh gets all rows. Engines that do not know take all rows each time:
    a model that reads changes must be right then too, which `only_new()` sees to.
-#}
{% macro changes(relation) -%}
    {{ return(relation) }}
{%- endmacro %}

{#-
    Of a relation at least the rows whose `columns` are a row of the query `keys`: the model joins them with the keys. Wardlake looks
    the rows up, and reads no others however many there are; a first run or a full refresh gets all rows. Engines that cannot look
    rows up take all of them each time.
-#}
{% macro matching(relation, columns, keys) -%}
    {{ return(relation) }}
{%- endmacro %}

{#-
    Condition that the target does not hold a row of this key yet, for incremental models that append. Wardlake never shows a
    change twice and need not look.
-#}
{% macro only_new(row, keys) -%}
    {{ return(adapter.dispatch('only_new', 'hospital')(row, keys)) }}
{%- endmacro %}

{% macro wardlake__only_new(row, keys) -%}
    true
{%- endmacro %}

{% macro default__only_new(row, keys) -%}
    {%- if is_incremental() -%}
    not exists (
        select 1
        from {{ this }} as held
        where {% for key in keys %}held.{{ key }} = {{ row }}.{{ key }}{{ ' and ' if not loop.last }}{% endfor %}
    )
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}

{#-
    The named columns of the unconsumed rows of a bronze table, with lineage. A source that never sent anything has no table, and one whose
    events never had a field has no such column: both are empty, not an error.
-#}
{% macro received_changes(relation, columns) -%}
    {%- set known = [] -%}
    {%- set is_absent = execute and load_relation(relation) is none -%}
    {%- if execute and not is_absent -%}
        {%- for column in adapter.get_columns_in_relation(relation) -%}{%- do known.append(column.name | lower) -%}{%- endfor -%}
    {%- endif -%}
    select
        {%- for column in columns %}
        {% if column in known %}{{ column }}{% else %}cast(null as varchar) as {{ column }}{% endif %},
        {%- endfor %}
        {%- if is_absent %}
        cast(null as varchar) as _file,
        cast(null as bigint) as _position,
        cast(null as varchar) as _batch_id,
        cast(null as timestamp) as _received_at
    from (values (1)) as nothing(n)
    where 1 = 0
        {%- else %}
        _file,
        _position,
        _batch_id,
        cast(_received_at as timestamp) as _received_at
    from {{ changes(relation) }}
        {%- endif %}
{%- endmacro %}
