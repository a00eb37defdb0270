-- Policies and their bills beside the patients who hold the policy and their appointments. One policy has several of each, so
-- this multiplies rows: amounts must not be added up from here.
select
    insured.insurance_id,
    insured.insurance_name,
    insured.coverage_type,
    insured.monthly_premium,
    insured.billing_id,
    insured.final_amount,
    insured.billing_status,
    patients.patient_id,
    patients.first_name,
    patients.last_name,
    patients.appointment_id,
    patients.appointment_date,
    patients.appointment_status
from {{ ref('int_emp_insurance_billing') }} as insured
inner join {{ ref('int_patients_appointments') }} as patients on insured.insurance_id = patients.insurance_id
