-- Patients with their one stay. gender is spelled one way; gender_as_sent is what the file said.
select
    nullif(trim(patient_id), '') as patient_id,
    nullif(trim(first_name), '') as first_name,
    nullif(trim(last_name), '') as last_name,
    try_cast(date_of_birth as date) as date_of_birth,
    upper(substr(gender, 1, 1)) || lower(substr(gender, 2)) as gender,
    gender as gender_as_sent,
    nullif(trim(address), '') as address,
    nullif(trim(city), '') as city,
    nullif(trim(state), '') as state,
    nullif(trim(zip_code), '') as zip_code,
    nullif(trim(phone_number), '') as phone_number,
    nullif(trim(email), '') as email,
    nullif(trim(insurance_id), '') as insurance_id,
    nullif(trim(primary_physician_id), '') as primary_physician_id,
    try_cast(admission_date as date) as admission_date,
    try_cast(discharge_date as date) as discharge_date
from {{ source('hms', 'raw_patients') }}
