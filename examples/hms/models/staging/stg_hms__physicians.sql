-- Physicians, typed. One id belongs to two people; both are kept.
select
    nullif(trim(physician_id), '') as physician_id,
    nullif(trim(first_name), '') as first_name,
    nullif(trim(last_name), '') as last_name,
    nullif(trim(specialty), '') as specialty,
    nullif(trim(phone_number), '') as phone_number,
    nullif(trim(email), '') as email,
    nullif(trim(department), '') as department,
    try_cast(years_of_experience as integer) as years_of_experience,
    nullif(trim(license_number), '') as license_number,
    nullif(trim(clinic_address), '') as clinic_address,
    nullif(trim(city), '') as city,
    nullif(trim(state), '') as state,
    nullif(trim(zip_code), '') as zip_code,
    nullif(trim(hospital_id), '') as hospital_id,
    nullif(trim(shift_timing), '') as shift_timing
from {{ source('hms', 'raw_physicians') }}
