-- One row per hospital, payer and month of the bill: billed, received and still owed.

select
    bills.hospital_key,
    hospitals.hospital_id,
    hospitals.hospital_name,
    bills.payer_key,
    payers.payer_name,
    {{ month_of('bills.bill_date') }} as bill_month,
    count(*) as bills,
    sum(bills.amount) as gross_amount,
    sum(bills.discount) as discount_amount,
    sum(bills.tax) as tax_amount,
    sum(bills.final_amount) as net_amount,
    sum(bills.paid_amount) as paid_amount,
    sum(bills.outstanding_amount) as outstanding_amount
from {{ ref('fct_billing') }} as bills
inner join {{ ref('dim_hospital') }} as hospitals on bills.hospital_key = hospitals.hospital_key
inner join {{ ref('dim_payer') }} as payers on bills.payer_key = payers.payer_key
where bills.bill_date is not null
group by
    bills.hospital_key,
    hospitals.hospital_id,
    hospitals.hospital_name,
    bills.payer_key,
    payers.payer_name,
    {{ month_of('bills.bill_date') }}
