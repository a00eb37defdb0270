-- Appointments, typed.
select
    nullif(trim(appointment_id), '') as appointment_id,
    nullif(trim(patient_id), '') as patient_id,
    nullif(trim(physician_id), '') as physician_id,
    nullif(trim(hospital_id), '') as hospital_id,
    try_cast(appointment_date as date) as appointment_date,
    nullif(trim(appointment_time), '') as appointment_time,
    nullif(trim(reason_for_visit), '') as reason_for_visit,
    nullif(trim(diagnosis), '') as diagnosis,
    nullif(trim(treatment_plan), '') as treatment_plan,
    try_cast(follow_up_date as date) as follow_up_date,
    nullif(trim(status), '') as status,
    nullif(trim(insurance_claim_id), '') as insurance_claim_id,
    try_cast(billing_amount as decimal(18,2)) as billing_amount,
    try_cast(copay_amount as decimal(18,2)) as copay_amount,
    nullif(trim(notes), '') as notes
from {{ source('hms', 'raw_appointments') }}
