-- One row per device.
select
    try_cast("START" as timestamp) as started_at,
    try_cast("STOP" as timestamp) as stopped_at,
    nullif("PATIENT", '') as patient_id,
    nullif("ENCOUNTER", '') as encounter_id,
    nullif("CODE", '') as code,
    nullif("DESCRIPTION", '') as description,
    nullif("UDI", '') as udi
from {{ source('synthea', 'devices') }}
