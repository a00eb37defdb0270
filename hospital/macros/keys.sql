{#- md5 over the parts. A NULL part has its own placeholder: NULL and '' are different keys. -#}
{% macro surrogate_key(parts) -%}
    md5(
        {%- for part in parts %}
        coalesce(cast({{ part }} as varchar), '_null_'){{ " || '|' ||" if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}

{#- The key of the unknown member of every dimension. -#}
{% macro unknown_key() -%}
    '-1'
{%- endmacro %}

{#-
    The newest row of each key in an append-only bronze table, without keys whose newest row is a delete.
    File names carry the extract's date, so the file decides; a file received again wins over its first delivery.
    Wardlake takes every row: the model's YAML declares which survives, so that those that do not are counted.
-#}
{% macro newest_rows(relation, key) -%}
    {{ return(adapter.dispatch('newest_rows', 'hospital')(relation, key)) }}
{%- endmacro %}

{% macro wardlake__newest_rows(relation, key) -%}
    {{ extracted_rows(relation) }}
{%- endmacro %}

{% macro default__newest_rows(relation, key) -%}
    select *
    from {{ relation }}
    where nullif(trim({{ key }}), '') is not null
    qualify row_number() over (
        partition by trim({{ key }})
        order by _file desc, _received_at desc, _position desc
    ) = 1
    and coalesce(_change, 'insert') <> 'delete'
{%- endmacro %}

{#- Every row of an append-only bronze table that has a key; Wardlake withholds those without one by declaration. -#}
{% macro received_rows(relation, key) -%}
    {{ return(adapter.dispatch('received_rows', 'hospital')(relation, key)) }}
{%- endmacro %}

{% macro wardlake__received_rows(relation, key) -%}
    {{ extracted_rows(relation) }}
{%- endmacro %}

{% macro default__received_rows(relation, key) -%}
    select *
    from {{ relation }}
    where nullif(trim({{ key }}), '') is not null
{%- endmacro %}

{#- Every row with the span of the extract it came in: worked out once per file, not once per row. -#}
{% macro extracted_rows(relation) -%}
    select
        received.*,
        extracts._extract_from,
        extracts._extracted_at,
        extracts._is_first_extract
    from {{ relation }} as received
    left join (
        select
            _file as _extract_file,
            {{ local_midnight('extract_date') }} as _extract_from,
            {{ local_midnight(add_days('extract_date', 1)) }} as _extracted_at,
            extract_date = min(extract_date) over () as _is_first_extract
        from (
            select _file, {{ extract_date('_file') }} as extract_date
            from {{ relation }}
            group by _file
        ) as files
    ) as extracts on received._file = extracts._extract_file
{%- endmacro %}

{#- The newest of the states of each key that a model of every state holds. -#}
{% macro newest_states(relation, key) -%}
    {{ return(adapter.dispatch('newest_states', 'hospital')(relation, key)) }}
{%- endmacro %}

{% macro wardlake__newest_states(relation, key) -%}
    select * from {{ relation }}
{%- endmacro %}

{% macro default__newest_states(relation, key) -%}
    select *
    from (
        select *
        from {{ relation }}
        qualify row_number() over (
            partition by {{ key }}
            order by source_file desc, received_at desc, source_position desc
        ) = 1
    ) as newest
    where not is_delete
{%- endmacro %}

{#- Where a row came from: any figure can be followed back to a file and a line. -#}
{% macro lineage() -%}
    _file as source_file,
        _position as source_position
{%- endmacro %}
