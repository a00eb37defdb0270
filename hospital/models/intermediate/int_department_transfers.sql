-- One row per move of a patient from one inpatient department to another. A change of bed within a department is no transfer,
-- and neither is leaving the emergency department for a ward: that is the admission.

with ward_stays as (

    select
        stays.*,
        lag(stays.department_id) over (
            partition by stays.encounter_id order by stays.started_at, stays.movement_id
        ) as from_department_id
    from {{ ref('int_bed_stays') }} as stays
    inner join {{ ref('dim_department') }} as departments
        on stays.department_id = departments.department_id
        and departments.is_current
        and departments.is_inpatient_department
    where stays.is_counted

)

select
    movement_id,
    encounter_id,
    patient_id,
    hospital_id,
    from_department_id,
    department_id as to_department_id,
    reason,
    is_inpatient,
    started_at as transferred_at,
    started_date as transfer_date
from ward_stays
where from_department_id <> department_id
