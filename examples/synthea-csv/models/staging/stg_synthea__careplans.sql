-- One row per care plan.
select
    nullif("Id", '') as id,
    try_cast("START" as date) as start_date,
    try_cast("STOP" as date) as stop_date,
    nullif("PATIENT", '') as patient_id,
    nullif("ENCOUNTER", '') as encounter_id,
    nullif("CODE", '') as code,
    nullif("DESCRIPTION", '') as description,
    nullif("REASONCODE", '') as reason_code,
    nullif("REASONDESCRIPTION", '') as reason_description
from {{ source('synthea', 'careplans') }}
