-- One row per doctor.
select
    nullif(doctor_id, '') as doctor_id,
    nullif(doctor_name, '') as doctor_name,
    nullif(doctor_last_name, '') as doctor_last_name,
    try_cast(date_of_birth as date) as date_of_birth,
    nullif(gender, '') as gender,
    nullif(email, '') as email,
    nullif(phone_number, '') as phone_number,
    nullif(license_number, '') as license_number,
    nullif(specialty, '') as specialty,
    nullif(sub_specialty, '') as sub_specialty,
    nullif(department_id, '') as department_id,
    nullif(wing_id, '') as wing_id,
    nullif(shift_type, '') as shift_type,
    try_cast(employment_status_active as boolean) as employment_status_active,
    try_cast(vacation_status as boolean) as vacation_status,
    try_cast(salary as integer) as salary
from {{ source('registry', 'doctors') }}
