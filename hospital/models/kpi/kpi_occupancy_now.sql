-- Instantaneous occupancy of each inpatient department.

with occupied as (

    select
        department_id,
        count(*) as patients_in_bed,
        count(*) filter (where is_inpatient) as inpatients_in_bed
    from {{ ref('int_bed_stays') }}
    where is_counted
        and is_open
        and not is_cot
    group by department_id

)

select
    departments.hospital_id,
    departments.department_id,
    departments.department_name,
    departments.department_type,
    clock.as_of_at,
    coalesce(occupied.patients_in_bed, 0) as patients_in_bed,
    coalesce(occupied.inpatients_in_bed, 0) as inpatients_in_bed,
    coalesce(departments.staffed_beds, 0) as staffed_beds,
    coalesce(departments.staffed_beds, 0) - coalesce(occupied.patients_in_bed, 0) as free_staffed_beds,
    {{ ratio('coalesce(occupied.patients_in_bed, 0)', 'departments.staffed_beds') }} as occupancy_rate,
    {{ ratio('coalesce(occupied.inpatients_in_bed, 0)', 'departments.staffed_beds') }} as inpatient_occupancy_rate
from {{ ref('dim_department') }} as departments
cross join {{ ref('int_clock') }} as clock
left join occupied on departments.department_id = occupied.department_id
where departments.is_current
    and departments.is_inpatient_department
