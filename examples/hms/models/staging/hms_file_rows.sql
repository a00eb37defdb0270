-- Rows loaded per file, all thirteen.
{%- set tables = [
    ('hms', 'raw_appointments'), ('hms', 'raw_billing'), ('hms', 'raw_hospital'), ('hms', 'raw_insurance'),
    ('hms', 'raw_patients'), ('hms', 'raw_physicians'),
    ('hms_delimited', 'appointments'), ('hms_delimited', 'billing'), ('hms_delimited', 'hospitals'),
    ('hms_delimited', 'insurance'), ('hms_delimited', 'patients'), ('hms_delimited', 'physicians'),
    ('hms_list', 'lists'),
] %}
{%- for source_name, table_name in tables %}
select '{{ source_name }}' as source_name, '{{ table_name }}' as table_name, count(*) as loaded_rows
from {{ source(source_name, table_name) }}
{{ 'union all' if not loop.last }}
{%- endfor %}
