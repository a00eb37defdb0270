-- One row per nurse.
select
    nullif(nurse_id, '') as nurse_id,
    nullif(nurse_name, '') as nurse_name,
    nullif(nurse_last_name, '') as nurse_last_name,
    try_cast(date_of_birth as date) as date_of_birth,
    nullif(gender, '') as gender,
    nullif(email, '') as email,
    nullif(phone_number, '') as phone_number,
    nullif(nurse_type, '') as nurse_type,
    nullif(specialty, '') as specialty,
    nullif(department_id, '') as department_id,
    nullif(wing_id, '') as wing_id,
    nullif(shift_type, '') as shift_type,
    try_cast(employment_status_active as boolean) as employment_status_active,
    try_cast(vacation_status as boolean) as vacation_status,
    try_cast(salary as integer) as salary
from {{ source('registry', 'nurses') }}
