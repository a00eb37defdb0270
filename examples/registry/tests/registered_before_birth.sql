{{ config(severity='warn') }}
-- Nobody is registered before being born.
select patient_id, date_of_birth, registration_date
from {{ ref('stg_registry__patients') }}
where registration_date < date_of_birth
