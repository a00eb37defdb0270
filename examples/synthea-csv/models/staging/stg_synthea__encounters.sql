-- One row per encounter.
select
    nullif("Id", '') as id,
    try_cast("START" as timestamp) as started_at,
    try_cast("STOP" as timestamp) as stopped_at,
    nullif("PATIENT", '') as patient_id,
    nullif("ORGANIZATION", '') as organization_id,
    nullif("PROVIDER", '') as provider_id,
    nullif("PAYER", '') as payer_id,
    nullif("ENCOUNTERCLASS", '') as encounter_class,
    nullif("CODE", '') as code,
    nullif("DESCRIPTION", '') as description,
    try_cast("BASE_ENCOUNTER_COST" as decimal(18,2)) as base_encounter_cost,
    try_cast("TOTAL_CLAIM_COST" as decimal(18,2)) as total_claim_cost,
    try_cast("PAYER_COVERAGE" as decimal(18,2)) as payer_coverage,
    nullif("REASONCODE", '') as reason_code,
    nullif("REASONDESCRIPTION", '') as reason_description
from {{ source('synthea', 'encounters') }}
