-- Bills, typed. The final amount is kept as it was sent; a test compares it with amount − discount + tax.
select
    nullif(trim(billing_id), '') as billing_id,
    nullif(trim(appointment_id), '') as appointment_id,
    nullif(trim(patient_id), '') as patient_id,
    nullif(trim(insurance_id), '') as insurance_id,
    nullif(trim(hospital_id), '') as hospital_id,
    try_cast(billing_date as date) as billing_date,
    try_cast(amount as decimal(18,2)) as amount,
    try_cast(discount as decimal(18,2)) as discount,
    try_cast(tax as decimal(18,2)) as tax,
    try_cast(final_amount as decimal(18,2)) as final_amount,
    nullif(trim(status), '') as status,
    nullif(trim(payment_method), '') as payment_method,
    try_cast(payment_date as date) as payment_date,
    nullif(trim(processed_by), '') as processed_by,
    nullif(trim(remarks), '') as remarks
from {{ source('hms', 'raw_billing') }}
