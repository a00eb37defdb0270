-- Every staging row is in its fact, once: dirt is withheld in staging, or flagged, never dropped on the way.
{%- set pairs = [
    ('stg_hospital__encounters', 'fct_patient_flow'),
    ('stg_hospital__appointments', 'fct_appointment'),
    ('stg_hospital__billing', 'fct_billing'),
    ('stg_hospital__claims', 'fct_claim'),
    ('stg_hospital__dispensed', 'fct_medication'),
    ('stg_hospital__attendance', 'fct_attendance')
] %}

{% for staging, fact in pairs -%}
select '{{ fact }}' as fact, before.row_count as staging_rows, after.row_count as fact_rows
from (select count(*) as row_count from {{ ref(staging) }}) as before
cross join (select count(*) as row_count from {{ ref(fact) }}) as after
where before.row_count <> after.row_count
{% if not loop.last -%}
union all
{% endif -%}
{% endfor %}
