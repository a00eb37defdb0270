-- How often a staffed bed changed its patient, and how long it stood empty between two, per department and month.

with months as (

    select
        hospital_id,
        department_id,
        department_name,
        {{ month_of('census_date') }} as census_month,
        count(*) as days,
        cast(sum(staffed_beds) as bigint) as staffed_bed_days,
        cast(sum(inpatients_at_midnight) as bigint) as occupied_bed_days,
        cast(sum(discharges) as bigint) as discharges,
        cast(sum(transfers_out) as bigint) as transfers_out
    from {{ ref('mart_operational__daily_census') }}
    where is_inpatient_department
    group by hospital_id, department_id, department_name, {{ month_of('census_date') }}

)

select
    hospital_id,
    department_id,
    department_name,
    census_month,
    days,
    discharges,
    transfers_out,
    staffed_bed_days,
    occupied_bed_days,
    {{ ratio('staffed_bed_days', 'days') }} as average_staffed_beds,
    {{ ratio('discharges * days', 'staffed_bed_days') }} as bed_turnover_rate,
    {{ ratio('staffed_bed_days - occupied_bed_days', 'discharges') }} as turnover_interval_days
from months
