-- One row per procedure.
select
    try_cast("START" as timestamp) as started_at,
    try_cast("STOP" as timestamp) as stopped_at,
    nullif("PATIENT", '') as patient_id,
    nullif("ENCOUNTER", '') as encounter_id,
    nullif("CODE", '') as code,
    nullif("DESCRIPTION", '') as description,
    try_cast("BASE_COST" as decimal(18,2)) as base_cost,
    nullif("REASONCODE", '') as reason_code,
    nullif("REASONDESCRIPTION", '') as reason_description
from {{ source('synthea', 'procedures') }}
