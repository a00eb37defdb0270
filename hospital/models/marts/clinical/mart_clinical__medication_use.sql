-- One row per hospital, department, medication and day: what left the pharmacy, net of returns.

select
    facts.hospital_id,
    facts.department_id,
    facts.medication_key,
    medications.medication_id,
    medications.medication_name,
    medications.atc_code,
    medications.route,
    facts.dispensed_date,
    count(*) as dispensings,
    sum(facts.net_quantity) as net_quantity,
    sum(facts.net_cost) as net_cost,
    sum(facts.net_ddd) as net_ddd
from {{ ref('fct_medication') }} as facts
inner join {{ ref('dim_medication') }} as medications on facts.medication_key = medications.medication_key
where facts.dispensed_date is not null
    and not facts.is_after_now
group by
    facts.hospital_id,
    facts.department_id,
    facts.medication_key,
    medications.medication_id,
    medications.medication_name,
    medications.atc_code,
    medications.route,
    facts.dispensed_date
