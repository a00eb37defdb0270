-- Hospitals, typed. Telephone numbers and postal codes are text: as numbers they would lose their leading zeros.
select
    nullif(trim(hospital_id), '') as hospital_id,
    nullif(trim(hospital_name), '') as hospital_name,
    nullif(trim(address), '') as address,
    nullif(trim(city), '') as city,
    nullif(trim(state), '') as state,
    nullif(trim(zip_code), '') as zip_code,
    nullif(trim(phone_number), '') as phone_number,
    nullif(trim(email), '') as email,
    try_cast(established_year as integer) as established_year,
    try_cast(num_beds as integer) as num_beds,
    try_cast(num_departments as integer) as num_departments,
    nullif(trim(director_name), '') as director_name,
    nullif(trim(emergency_contact), '') as emergency_contact,
    try_cast(rating as decimal(4,1)) as rating,
    nullif(trim(accreditation), '') as accreditation,
    case
        when try_cast(rating as decimal(4,1)) < {{ var('basic_rating_below') }}
            or try_cast(num_beds as integer) < {{ var('basic_beds_below') }} then 'basic hospital'
        else 'critical care hospital'
    end as hospital_category
from {{ source('hms', 'raw_hospital') }}
