-- Which department admitted and which discharged a bed encounter: the first and the last of its bed stays outside the emergency
-- department, where boarders wait. Without such a stay it is the encounter's own department.

with ward_stays as (

    select
        stays.encounter_id,
        stays.department_id,
        row_number() over (partition by stays.encounter_id order by stays.started_at, stays.movement_id) as from_first,
        row_number() over (partition by stays.encounter_id order by stays.started_at desc, stays.movement_id desc) as from_last
    from {{ ref('int_bed_stays') }} as stays
    inner join {{ ref('dim_department') }} as departments
        on stays.department_id = departments.department_id
        and departments.is_current
        and departments.is_inpatient_department
    where stays.is_counted

),

ends as (

    select
        encounter_id,
        max(case when from_first = 1 then department_id end) as admitting_department_id,
        max(case when from_last = 1 then department_id end) as discharging_department_id
    from ward_stays
    group by encounter_id

)

select
    encounters.encounter_id,
    coalesce(ends.admitting_department_id, encounters.department_id, 'unknown') as admitting_department_id,
    coalesce(ends.discharging_department_id, encounters.department_id, 'unknown') as discharging_department_id
from {{ ref('int_encounters') }} as encounters
left join ends on encounters.encounter_id = ends.encounter_id
where encounters.is_bed_stay
