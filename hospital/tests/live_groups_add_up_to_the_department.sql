-- The patients of all genders, and of all age bands, are the patients of the department.

with by_type as (

    select hospital_id, department_id, group_type, cast(sum(patients_in_bed) as bigint) as patients
    from {{ ref('kpi_live_occupancy_by_group') }}
    group by hospital_id, department_id, group_type

),

types as (

    select 'gender' as group_type
    union all
    select 'age_band' as group_type

)

select departments.hospital_id, departments.department_id, types.group_type, departments.patients_in_bed, by_type.patients
from {{ ref('kpi_live_occupancy') }} as departments
cross join types
left join by_type
    on departments.hospital_id = by_type.hospital_id
    and departments.department_id = by_type.department_id
    and types.group_type = by_type.group_type
where departments.patients_in_bed <> coalesce(by_type.patients, 0)
