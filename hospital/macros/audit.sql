{#-
    Expectations, repairs and duplicates are declared in a model's YAML (`config.meta.wardlake`). Wardlake evaluates them while
    it writes the model's rows, and reads the raw text behind a typed value from hidden columns that are not stored. Other
    engines get neither; there, newest_rows() does what `deduplicate` and the filter `deleted` declare.
-#}

{#-
    The hidden columns: lineage, the extract a row came in, and the raw text of each column that an expectation or a repair asks
    for. `times` are the raw columns of local times that happened: whether the clock shows one of them twice or never. `texts` are
    those of names: whether one of them was read in another encoding than it was written in.
-#}
{% macro audit_columns(times=[], texts=[]) -%}
    {{ return(adapter.dispatch('audit_columns', 'hospital')(times, texts)) }}
{%- endmacro %}

{% macro default__audit_columns(times, texts) -%}
{%- endmacro %}

{% macro wardlake__audit_columns(times, texts) -%}
    {%- set settings = config.get('meta', {}).get('wardlake', {}) -%}
    {%- set raw = [] -%}
    {%- for rule in settings.get('expectations', []) if rule.get('typed') -%}
        {%- do raw.extend([rule.typed] if rule.typed is string else rule.typed) -%}
    {%- endfor -%}
    {%- for repair in settings.get('repairs', []) -%}
        {%- if repair.get('standardise') -%}{%- do raw.append(repair.standardise) -%}{%- endif -%}
        {%- if repair.get('default') -%}{%- do raw.append(repair.default.column) -%}{%- endif -%}
        {%- if repair.get('reread') -%}{%- do raw.append(repair.reread.column) -%}{%- endif -%}
    {%- endfor -%}
    ,
        -- read by the audit, not stored
        _source as _raw__source,
        _file as _raw__file,
        _position as _raw__position,
        _received_at as _raw__received_at,
        _batch_id as _raw__batch_id,
        _row_hash as _raw__row_hash,
        coalesce(_change, 'insert') = 'delete' as _raw__is_delete,
        _extract_from as _raw__extract_from,
        coalesce(_extracted_at, _received_at) as _raw__extracted_at,
        _is_first_extract as _raw__is_first_extract
        {%- if times %},
        {{ has_ambiguous_time(times) | indent(8) }} as _raw__has_ambiguous_time,
        {{ has_impossible_time(times) | indent(8) }} as _raw__has_impossible_time
        {%- endif %}
        {%- if texts %},
        {{ is_damaged_text(texts) }} as _raw__has_damaged_text
        {%- endif %}
        {%- for column in raw | unique %},
        {{ column }} as _raw_{{ column }}
        {%- endfor %}
{%- endmacro %}

{#-
    The hidden columns of a model that takes the newest of the states another model holds: lineage, and whether the content of
    two states differs.
-#}
{% macro audit_state_columns(source, attributes) -%}
    {{ return(adapter.dispatch('audit_state_columns', 'hospital')(source, attributes)) }}
{%- endmacro %}

{% macro default__audit_state_columns(source, attributes) -%}
{%- endmacro %}

{% macro wardlake__audit_state_columns(source, attributes) -%}
    ,
    -- read by the audit, not stored
    '{{ source }}' as _raw__source,
    source_file as _raw__file,
    source_position as _raw__position,
    received_at as _raw__received_at,
    is_delete as _raw__is_delete,
    {{ surrogate_key(attributes) }} as _raw__row_hash
{%- endmacro %}
