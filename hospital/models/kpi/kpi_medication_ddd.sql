-- Defined daily doses per 100 inpatient bed days, per hospital, ATC code, route and month.

with doses as (

    select
        hospital_id,
        atc_code,
        route,
        {{ month_of('dispensed_date') }} as dispensed_month,
        sum(net_ddd) as net_ddd
    from {{ ref('mart_clinical__medication_use') }}
    where net_ddd is not null
    group by hospital_id, atc_code, route, {{ month_of('dispensed_date') }}

),

bed_days as (

    select
        hospital_id,
        {{ month_of('census_date') }} as census_month,
        cast(sum(inpatient_bed_days) as bigint) as bed_days
    from {{ ref('mart_operational__daily_census') }}
    where is_inpatient_department
    group by hospital_id, {{ month_of('census_date') }}

)

select
    doses.hospital_id,
    doses.atc_code,
    doses.route,
    doses.dispensed_month,
    doses.net_ddd,
    bed_days.bed_days,
    {{ ratio('100 * doses.net_ddd', 'bed_days.bed_days') }} as ddd_per_100_bed_days
from doses
left join bed_days on doses.hospital_id = bed_days.hospital_id and doses.dispensed_month = bed_days.census_month
