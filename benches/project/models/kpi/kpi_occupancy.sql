-- Patients in a department now, per staffed bed.

with inside as (

    select hospital_id, department_id, count(*) as occupied
    from {{ ref('fct_patient_flow') }}
    where is_currently_admitted
    group by hospital_id, department_id

)

select
    departments.hospital_id, departments.department_id, departments.staffed_beds,
    coalesce(inside.occupied, 0) as occupied,
    cast(100 * coalesce(inside.occupied, 0) as double) / departments.staffed_beds as occupancy_pct
from {{ ref('dim_department') }} as departments
left join inside on departments.hospital_id = inside.hospital_id and departments.department_id = inside.department_id
where departments.is_current
