-- One row per bill. Money is exact; what is still owed is never below zero, an overpayment has its own flag.

with bills as (

    select
        billing.*,
        {{ local_midnight('billing.bill_date') }} as billed_at,
        encounters.department_id,
        coalesce(billing.amount_paid, 0) as paid_amount
    from {{ ref('stg_hospital__billing') }} as billing
    left join {{ ref('int_encounters') }} as encounters on billing.encounter_id = encounters.encounter_id

)

select
    bills.bill_id,
    coalesce(patients.patient_key, {{ unknown_key() }}) as patient_key,
    coalesce(departments.department_key, {{ unknown_key() }}) as department_key,
    coalesce(hospitals.hospital_key, {{ unknown_key() }}) as hospital_key,
    coalesce(payers.payer_key, {{ unknown_key() }}) as payer_key,
    bills.encounter_id,
    bills.patient_id,
    bills.hospital_id,
    bills.department_id,
    bills.insurance_id,
    coalesce(insurance.coverage_type, 'none') as coverage_type,
    bills.payment_status,
    bills.payment_method,
    bills.amount,
    bills.discount,
    bills.tax,
    bills.final_amount,
    bills.paid_amount,
    case when bills.final_amount > bills.paid_amount then bills.final_amount - bills.paid_amount else cast(0 as decimal(18,2)) end
        as outstanding_amount,
    coalesce(abs(bills.amount - bills.discount + bills.tax - bills.final_amount) > cast(0.01 as decimal(18,2)), false)
        as is_amount_inconsistent,
    coalesce(bills.paid_amount > bills.final_amount, false) as is_overpaid,
    coalesce(bills.payment_date < bills.bill_date, false) as is_paid_before_billed,
    coalesce(
        bills.bill_date < insurance.coverage_start_date or bills.bill_date > insurance.coverage_end_date, false
    ) as is_outside_coverage,
    bills.bill_date,
    bills.payment_date,
    bills.source_file,
    bills.source_position
from bills
left join {{ ref('stg_hospital__insurance') }} as insurance on bills.insurance_id = insurance.insurance_id
left join {{ ref('dim_payer') }} as payers on insurance.payer_id = payers.payer_id
left join {{ ref('dim_patient') }} as patients
    on bills.patient_id = patients.patient_id
    and {{ held_at('patients', 'bills.billed_at') }}
left join {{ ref('dim_department') }} as departments
    on bills.department_id = departments.department_id
    and {{ held_at('departments', 'bills.billed_at') }}
left join {{ ref('dim_hospital') }} as hospitals on bills.hospital_id = hospitals.hospital_id
