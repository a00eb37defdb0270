-- One row per imaging study.
select
    nullif("Id", '') as id,
    try_cast("DATE" as timestamp) as happened_at,
    nullif("PATIENT", '') as patient_id,
    nullif("ENCOUNTER", '') as encounter_id,
    nullif("SERIES_UID", '') as series_uid,
    nullif("BODYSITE_CODE", '') as bodysite_code,
    nullif("BODYSITE_DESCRIPTION", '') as bodysite_description,
    nullif("MODALITY_CODE", '') as modality_code,
    nullif("MODALITY_DESCRIPTION", '') as modality_description,
    nullif("INSTANCE_UID", '') as instance_uid,
    nullif("SOP_CODE", '') as sop_code,
    nullif("SOP_DESCRIPTION", '') as sop_description,
    nullif("PROCEDURE_CODE", '') as procedure_code
from {{ source('synthea', 'imaging_studies') }}
