-- One row per registered patient. zip_code is empty in every row and becomes NULL.
select
    nullif(patient_id, '') as patient_id,
    nullif(patient_name, '') as patient_name,
    nullif(patient_last_name, '') as patient_last_name,
    try_cast(date_of_birth as date) as date_of_birth,
    nullif(gender, '') as gender,
    try_cast(marital_status as boolean) as is_married,
    nullif(nationality, '') as nationality,
    nullif(blood_type, '') as blood_type,
    nullif(email, '') as email,
    nullif(phone_number, '') as phone_number,
    nullif(city, '') as city,
    nullif(zip_code, '') as zip_code,
    try_cast(registration_date as date) as registration_date,
    try_cast(born_in_hospital as boolean) as is_born_in_hospital
from {{ source('registry', 'patients') }}
