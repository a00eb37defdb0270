{#- Whole numbers 0 … 10^digits − 1 in one column `n`. -#}
{% macro numbers(digits) -%}
    select
        {% for i in range(digits) -%}
        d{{ i }}.n * {{ 10 ** i }}{{ ' + ' if not loop.last }}
        {%- endfor %} as n
    from
        {%- for i in range(digits) %}
        {{ 'cross join ' if not loop.first }}(values (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) as d{{ i }}(n)
        {%- endfor %}
{%- endmacro %}

{#- Every date from the first to the last, both included, in one column `date_day`; at most 10,000 days. -#}
{% macro date_spine(first_date, last_date) -%}
    select date_day
    from (
        select {{ add_days(first_date, 'n') }} as date_day
        from ({{ numbers(4) }}) as numbers
    ) as days
    where date_day <= {{ last_date }}
{%- endmacro %}

{#- Interpolated percentile of a column within a group, to two decimals: beyond them engines interpolate differently. -#}
{% macro percentile(column, fraction) -%}
    round(cast(percentile_cont({{ fraction }}) within group (order by {{ column }}) as double), 2)
{%- endmacro %}

{#- A ratio that is NULL, not an error and not zero, where there is nothing to divide by. -#}
{% macro ratio(numerator, denominator) -%}
    round(cast({{ numerator }} as double) / nullif(cast({{ denominator }} as double), 0), 6)
{%- endmacro %}

{#- How many milligrams a mass unit holds; NULL for a unit that is no mass. -#}
{% macro milligrams(unit) -%}
    case {{ unit }} when 'g' then 1000.0 when 'mg' then 1.0 when 'mcg' then 0.001 when 'ug' then 0.001 end
{%- endmacro %}
