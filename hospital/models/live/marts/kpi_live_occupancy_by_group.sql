-- Instantaneous occupancy now of each department by gender and by age band. Every group is divided by all staffed beds of the
-- department, so that the groups of one type add up to the department's rate and to nothing else.

with in_bed as (

    select hospital_id, department_id, gender, age_band
    from {{ ref('int_live_census') }}
    where bed_state = 'occupied'
        and not is_cot

),

grouped as (

    select hospital_id, department_id, 'gender' as group_type, gender as group_value, count(*) as patients_in_bed
    from in_bed
    group by hospital_id, department_id, gender
    union all
    select hospital_id, department_id, 'age_band' as group_type, age_band as group_value, count(*) as patients_in_bed
    from in_bed
    group by hospital_id, department_id, age_band

)

select
    grouped.hospital_id,
    grouped.department_id,
    grouped.group_type,
    grouped.group_value,
    clock.as_of_at,
    grouped.patients_in_bed,
    departments.patients_in_bed as all_patients_in_bed,
    departments.staffed_beds,
    {{ ratio('grouped.patients_in_bed', 'departments.staffed_beds') }} as occupancy_rate,
    {{ ratio('grouped.patients_in_bed', 'departments.patients_in_bed') }} as share_of_patients
from grouped
inner join {{ ref('kpi_live_occupancy') }} as departments
    on grouped.hospital_id = departments.hospital_id
    and grouped.department_id = departments.department_id
cross join {{ ref('int_live_clock') }} as clock
