-- The newest state of each patient, without those that the newest extracts no longer hold.

with newest as (

    {{ newest_states(ref('stg_hospital__patient_changes'), 'patient_id') | indent(4) }}

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
    source_position{{ audit_state_columns('hospital.patients', [
        'patient_id', 'hospital_id', 'mrn', 'national_id', 'insurance_id', 'first_name', 'last_name', 'gender',
        'phone', 'email', 'address_line', 'city', 'postal_code', 'date_of_birth', 'deceased_date', 'registered_at',
        'updated_at'
    ]) }}
from newest
