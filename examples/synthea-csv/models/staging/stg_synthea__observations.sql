-- One row per observation.
select
    try_cast("DATE" as timestamp) as happened_at,
    nullif("PATIENT", '') as patient_id,
    nullif("ENCOUNTER", '') as encounter_id,
    nullif("CATEGORY", '') as category,
    nullif("CODE", '') as code,
    nullif("DESCRIPTION", '') as description,
    nullif("VALUE", '') as observed_value,
    nullif("UNITS", '') as units,
    nullif("TYPE", '') as type_name
from {{ source('synthea', 'observations') }}
