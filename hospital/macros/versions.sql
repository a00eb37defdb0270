{#-
    SCD2 versions of one entity from every state its extracts brought, whatever order they arrived in.

    States are put in the order of the extracts that held them, and a state equal to the one before it is no version. A version
    begins at the row's own `updated_at` where that lies between the extract before and its own extract; otherwise (missing,
    repeated, in the future, or older than an extract that did not show it) at its extract's cut, local midnight after the
    extract's day. The first version reaches back to 1900, so that a fact older than the first extract finds one.
    A delete ends the version before it. `valid_to` is exclusive, and NULL for the current version.
-#}
{% macro versions(changes, key, version_key, attributes) -%}
with extracted as (

    select
        *,
        coalesce({{ local_midnight(add_days('extract_date', 1)) }}, received_at) as extracted_at,
        case when is_delete then 'deleted' else {{ surrogate_key(attributes) }} end as state_hash
    from {{ changes }}

),

-- A key that stands twice in one extract, or an extract received again: the last row is its state.
one_state_per_extract as (

    select *
    from extracted
    qualify row_number() over (
        partition by {{ key }}, extracted_at
        order by source_file desc, received_at desc, source_position desc
    ) = 1

),

compared as (

    select
        *,
        lag(state_hash) over (partition by {{ key }} order by extracted_at) as previous_hash,
        lag(extracted_at) over (partition by {{ key }} order by extracted_at) as previous_extracted_at
    from one_state_per_extract

),

changed as (

    select
        *,
        case
            when not is_delete
                and updated_at <= extracted_at
                and (previous_extracted_at is null or updated_at > previous_extracted_at)
            then updated_at
            else extracted_at
        end as effective_at
    from compared
    where previous_hash is null or previous_hash <> state_hash

),

chained as (

    select
        *,
        lead(effective_at) over (partition by {{ key }} order by effective_at) as next_effective_at,
        row_number() over (partition by {{ key }} order by effective_at) as version_number
    from changed

)

select
    {{ surrogate_key([key, time_text('effective_at')]) }} as {{ version_key }},
    {{ key }},
    {%- for attribute in attributes %}
    {{ attribute }},
    {%- endfor %}
    cast(version_number as integer) as version_number,
    case when version_number = 1 then cast('1900-01-01 00:00:00' as timestamp) else effective_at end as valid_from,
    next_effective_at as valid_to,
    next_effective_at is null as is_current,
    source_file,
    source_position
from chained
where not is_delete
{%- endmacro %}
