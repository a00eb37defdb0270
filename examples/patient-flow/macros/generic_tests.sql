{#- Returns the rows for which an expression is false; unknown passes. -#}
{% test is_true(model, expression) %}
select *
from {{ model }}
where not coalesce({{ expression }}, true)
{% endtest %}
