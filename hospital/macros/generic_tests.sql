{#- Generic tests of this project. Each returns the rows that break the rule. -#}

{% test unique_combination(model, columns) %}
select {{ columns | join(', ') }}, count(*) as row_count
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}

{#- NULL passes: absence is not_null's business. -#}
{% test in_range(model, column_name, min_value=none, max_value=none) %}
select {{ column_name }}
from {{ model }}
where 1 = 0
{%- if min_value is not none %}
    or {{ column_name }} < {{ min_value }}
{%- endif %}
{%- if max_value is not none %}
    or {{ column_name }} > {{ max_value }}
{%- endif %}
{% endtest %}

{#- A table that must hold rows: a KPI over nothing must not look like a passed KPI. -#}
{% test not_empty(model) %}
select row_count
from (select count(*) as row_count from {{ model }}) as counted
where row_count = 0
{% endtest %}

{% test is_true(model, expression) %}
select *
from {{ model }}
where not coalesce({{ expression }}, true)
{% endtest %}

{#- SCD2: versions of one key follow one another without a gap, an overlap or a second current version. -#}
{% test versions_are_chained(model, key) %}
select {{ key }}, valid_from
from (
    select
        {{ key }},
        valid_from,
        valid_to,
        is_current,
        lead(valid_from) over (partition by {{ key }} order by valid_from) as next_valid_from
    from {{ model }}
) as versions
where valid_to <= valid_from
    or valid_to > next_valid_from
    or (valid_to is null and next_valid_from is not null)
    or (is_current and next_valid_from is not null)
{% endtest %}
