-- Live discharges of inpatients before 12:00 local, per discharging department and month.

select
    stays.hospital_id,
    stays.discharging_department_id as department_id,
    departments.department_name,
    stays.discharge_month,
    count(*) filter (where stays.is_discharged_before_noon) as discharges_before_noon,
    count(*) as live_discharges,
    {{ ratio('count(*) filter (where stays.is_discharged_before_noon)', 'count(*)') }} as discharge_before_noon_rate
from {{ ref('mart_clinical__length_of_stay') }} as stays
left join {{ ref('dim_department') }} as departments
    on stays.discharging_department_id = departments.department_id
    and departments.is_current
where stays.is_discharged_before_noon is not null
group by stays.hospital_id, stays.discharging_department_id, departments.department_name, stays.discharge_month
