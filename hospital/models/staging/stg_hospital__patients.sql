-- The newest state of each patient, without those that the newest extracts no longer hold.

with newest as (

    select *
    from {{ ref('stg_hospital__patient_changes') }}
    qualify row_number() over (
        partition by patient_id
        order by source_file desc, received_at desc, source_position desc
    ) = 1

)

select
    -- ids
    patient_id,
    hospital_id,
    mrn,
    national_id,
    insurance_id,
    -- text
    first_name,
    last_name,
    gender,
    phone,
    email,
    address_line,
    city,
    postal_code,
    -- dates and instants
    date_of_birth,
    deceased_date,
    registered_at,
    updated_at,
    -- lineage
    source_file,
    source_position
from newest
where not is_delete
