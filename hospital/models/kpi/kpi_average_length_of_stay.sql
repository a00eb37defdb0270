-- Average length of stay of discharged inpatients, per discharging department and month.

select
    stays.hospital_id,
    stays.discharging_department_id as department_id,
    departments.department_name,
    stays.discharge_month,
    cast(sum(stays.los_days) as bigint) as los_days,
    count(*) as discharges,
    {{ ratio('sum(stays.los_days)', 'count(*)') }} as average_los_days,
    {{ percentile('cast(stays.los_days as double)', 0.5) }} as median_los_days
from {{ ref('mart_clinical__length_of_stay') }} as stays
left join {{ ref('dim_department') }} as departments
    on stays.discharging_department_id = departments.department_id
    and departments.is_current
group by stays.hospital_id, stays.discharging_department_id, departments.department_name, stays.discharge_month
