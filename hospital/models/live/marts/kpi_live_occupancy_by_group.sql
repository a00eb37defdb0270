-- Instantaneous occupancy now of each department by gender and by age band. Every group is divided by all staffed beds of the
-- department, so that the groups of one type add up to the department's rate and to nothing else.

with group_types as (

    select 'gender' as group_type
    union all
    select 'age_band' as group_type

),

grouped as (

    select
        census.hospital_id,
        census.department_id,
        group_types.group_type,
        case group_types.group_type when 'gender' then census.gender else census.age_band end as group_value,
        census.as_of_at,
        count(*) as patients_in_bed
    from {{ ref('int_live_census') }} as census
    cross join group_types
    where census.bed_state = 'occupied'
        and not census.is_cot
    group by census.hospital_id, census.department_id, group_types.group_type, group_value, census.as_of_at

),

totalled as (

    select
        *,
        cast(sum(patients_in_bed) over (partition by hospital_id, department_id, group_type) as bigint) as all_patients_in_bed
    from grouped

)

select
    totalled.hospital_id,
    totalled.department_id,
    totalled.group_type,
    totalled.group_value,
    totalled.as_of_at,
    totalled.patients_in_bed,
    totalled.all_patients_in_bed,
    departments.staffed_beds,
    {{ ratio('totalled.patients_in_bed', 'departments.staffed_beds') }} as occupancy_rate,
    {{ ratio('totalled.patients_in_bed', 'totalled.all_patients_in_bed') }} as share_of_patients
from totalled
left join {{ ref('dim_department') }} as departments
    on totalled.hospital_id = departments.hospital_id
    and totalled.department_id = departments.department_id
    and departments.is_current
    and departments.is_inpatient_department
