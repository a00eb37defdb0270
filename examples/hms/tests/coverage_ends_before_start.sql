{{ config(severity='warn') }}
-- A policy cannot end before it starts.
select insurance_id, coverage_start_date, coverage_end_date
from {{ ref('stg_hms__insurance') }}
where coverage_end_date < coverage_start_date
