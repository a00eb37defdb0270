-- Insurance policies, typed.
select
    nullif(trim(insurance_id), '') as insurance_id,
    nullif(trim(insurance_name), '') as insurance_name,
    nullif(trim(policy_number), '') as policy_number,
    nullif(trim(policy_holder), '') as policy_holder,
    try_cast(coverage_start_date as date) as coverage_start_date,
    try_cast(coverage_end_date as date) as coverage_end_date,
    try_cast(monthly_premium as decimal(18,2)) as monthly_premium,
    try_cast(deductible as decimal(18,2)) as deductible,
    nullif(trim(coverage_type), '') as coverage_type,
    nullif(trim(contact_number), '') as contact_number,
    nullif(trim(email), '') as email,
    nullif(trim(address), '') as address,
    nullif(trim(city), '') as city,
    nullif(trim(state), '') as state,
    nullif(trim(zip_code), '') as zip_code,
    nullif(trim(hospital_id), '') as hospital_id
from {{ source('hms', 'raw_insurance') }}
