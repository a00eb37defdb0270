{{ config(severity='warn') }}
-- A patient cannot leave before having come.
select patient_id, admission_date, discharge_date
from {{ ref('stg_hms__patients') }}
where discharge_date < admission_date
