-- One row per condition.
select
    try_cast("START" as date) as start_date,
    try_cast("STOP" as date) as stop_date,
    nullif("PATIENT", '') as patient_id,
    nullif("ENCOUNTER", '') as encounter_id,
    nullif("CODE", '') as code,
    nullif("DESCRIPTION", '') as description
from {{ source('synthea', 'conditions') }}
