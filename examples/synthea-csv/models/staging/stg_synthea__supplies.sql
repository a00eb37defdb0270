-- One row per supply.
select
    try_cast("DATE" as date) as supply_date,
    nullif("PATIENT", '') as patient_id,
    nullif("ENCOUNTER", '') as encounter_id,
    nullif("CODE", '') as code,
    nullif("DESCRIPTION", '') as description,
    nullif("QUANTITY", '') as quantity
from {{ source('synthea', 'supplies') }}
