{#- Fails unless the relation holds exactly so many rows. -#}
{% test row_count(model, equals) %}
select row_count
from (select count(*) as row_count from {{ model }}) as counted
where row_count <> {{ equals }}
{% endtest %}
