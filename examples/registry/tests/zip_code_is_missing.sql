{{ config(severity='warn') }}
-- Patients without a postal code.
select patient_id
from {{ ref('stg_registry__patients') }}
where zip_code is null
