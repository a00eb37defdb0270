-- Every insurance policy, once per bill; policies without a bill appear once.
select
    insurance.insurance_id,
    insurance.insurance_name,
    insurance.policy_number,
    insurance.coverage_type,
    insurance.monthly_premium,
    insurance.deductible,
    insurance.coverage_start_date,
    insurance.coverage_end_date,
    billing.billing_id,
    billing.appointment_id,
    billing.patient_id as billed_patient_id,
    billing.billing_date,
    billing.amount,
    billing.discount,
    billing.tax,
    billing.final_amount,
    billing.status as billing_status,
    billing.payment_date
from {{ ref('stg_hms__insurance') }} as insurance
left join {{ ref('stg_hms__billing') }} as billing on insurance.insurance_id = billing.insurance_id
