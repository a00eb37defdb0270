-- One row per allergy.
select
    try_cast("START" as date) as start_date,
    try_cast("STOP" as date) as stop_date,
    nullif("PATIENT", '') as patient_id,
    nullif("ENCOUNTER", '') as encounter_id,
    nullif("CODE", '') as code,
    nullif("SYSTEM", '') as code_system,
    nullif("DESCRIPTION", '') as description,
    nullif("TYPE", '') as type_name,
    nullif("CATEGORY", '') as category,
    nullif("REACTION1", '') as reaction1,
    nullif("DESCRIPTION1", '') as description1,
    nullif("SEVERITY1", '') as severity1,
    nullif("REACTION2", '') as reaction2,
    nullif("DESCRIPTION2", '') as description2,
    nullif("SEVERITY2", '') as severity2
from {{ source('synthea', 'allergies') }}
