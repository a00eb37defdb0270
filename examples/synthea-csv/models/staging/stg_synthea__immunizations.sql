-- One row per immunization.
select
    try_cast("DATE" as timestamp) as happened_at,
    nullif("PATIENT", '') as patient_id,
    nullif("ENCOUNTER", '') as encounter_id,
    nullif("CODE", '') as code,
    nullif("DESCRIPTION", '') as description,
    try_cast("BASE_COST" as decimal(18,2)) as base_cost
from {{ source('synthea', 'immunizations') }}
