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
-#}
{% macro newest_rows(relation, key) -%}
    select *
    from {{ relation }}
    where nullif(trim({{ key }}), '') is not null
    qualify row_number() over (
        partition by trim({{ key }})
        order by _file desc, _received_at desc, _position desc
    ) = 1
    and coalesce(_change, 'insert') <> 'delete'
{%- endmacro %}

{#- Where a row came from: any figure can be followed back to a file and a line. -#}
{% macro lineage() -%}
    _file as source_file,
        _position as source_position
{%- endmacro %}
