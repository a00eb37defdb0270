-- A warning, one row per rule that rows break which staging let through. They are kept and flagged, so nothing here stops a build.
{{ config(severity='warn') }}

select entity, rule, description, rows_checked, rows_broken
from {{ ref('int_data_quality') }}
where rows_broken > 0
