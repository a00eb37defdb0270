-- One row per payer transition.
select
    nullif("PATIENT", '') as patient_id,
    nullif("MEMBERID", '') as member_id,
    try_cast("START_YEAR" as timestamp) as start_at,
    try_cast("END_YEAR" as timestamp) as end_at,
    nullif("PAYER", '') as payer_id,
    nullif("SECONDARY_PAYER", '') as secondary_payer_id,
    nullif("OWNERSHIP", '') as ownership,
    nullif("OWNERNAME", '') as owner_name
from {{ source('synthea', 'payer_transitions') }}
