-- Inpatient stays that outlasted the expected day of discharge, per department and month of that day.

with due as (

    select
        flow.hospital_id,
        departments.discharging_department_id as department_id,
        {{ month_of('flow.expected_discharge_date') }} as expected_month,
        flow.is_overstay,
        case
            when flow.is_overstay
            then {{ dbt.datediff('flow.expected_discharge_date', 'coalesce(flow.discharge_date, clock.as_of_date)', 'day') }}
            else 0
        end as days_over
    from {{ ref('fct_patient_flow') }} as flow
    inner join {{ ref('int_encounter_departments') }} as departments on flow.encounter_id = departments.encounter_id
    cross join {{ ref('int_clock') }} as clock
    where flow.is_overstay is not null
        and flow.expected_discharge_date < clock.as_of_date

)

select
    due.hospital_id,
    due.department_id,
    departments.department_name,
    due.expected_month,
    count(*) filter (where due.is_overstay) as overstays,
    count(*) as stays_due,
    cast(sum(due.days_over) as bigint) as days_over,
    {{ ratio('count(*) filter (where due.is_overstay)', 'count(*)') }} as overstay_rate
from due
left join {{ ref('dim_department') }} as departments
    on due.department_id = departments.department_id
    and departments.is_current
group by due.hospital_id, due.department_id, departments.department_name, due.expected_month
