-- Instantaneous occupancy now of each inpatient department of the hospitals that send events, by the live ledger. A department
-- in whose beds patients lie and that is no inpatient department, or that no extract knows, is listed without staffed beds.

with inpatient_departments as (

    select hospital_id, department_id, department_name, department_type, staffed_beds
    from {{ ref('dim_department') }}
    where is_current
        and is_inpatient_department

),

counts as (

    select hospital_id, department_id, 0 as patients_in_bed, 0 as beds_held, 0 as beds_cleaning, 0 as is_sent
    from inpatient_departments
    union all
    select
        hospital_id,
        department_id,
        0 as patients_in_bed,
        case when bed_status = 'held' then 1 else 0 end as beds_held,
        case when bed_status = 'cleaning' then 1 else 0 end as beds_cleaning,
        1 as is_sent
    from {{ ref('int_bed_status') }}
    union all
    select hospital_id, department_id, 1 as patients_in_bed, 0 as beds_held, 0 as beds_cleaning, 0 as is_sent
    from {{ ref('int_live_census') }}
    where bed_state = 'occupied'
        and not is_cot

),

departments as (

    select
        hospital_id,
        department_id,
        cast(sum(patients_in_bed) as bigint) as patients_in_bed,
        cast(sum(beds_held) as bigint) as beds_held,
        cast(sum(beds_cleaning) as bigint) as beds_cleaning,
        max(max(is_sent)) over (partition by hospital_id) = 1 as is_of_a_sender
    from counts
    group by hospital_id, department_id

)

select
    departments.hospital_id,
    departments.department_id,
    coalesce(known.department_name, departments.department_id) as department_name,
    coalesce(known.department_type, 'unknown') as department_type,
    clock.as_of_at,
    departments.patients_in_bed,
    departments.beds_held,
    departments.beds_cleaning,
    known.staffed_beds,
    known.staffed_beds - departments.patients_in_bed - departments.beds_held - departments.beds_cleaning as free_staffed_beds,
    {{ ratio('departments.patients_in_bed', 'known.staffed_beds') }} as occupancy_rate
from departments
cross join {{ ref('int_live_clock') }} as clock
left join inpatient_departments as known
    on departments.hospital_id = known.hospital_id
    and departments.department_id = known.department_id
where (known.department_id is not null and departments.is_of_a_sender)
    or (known.department_id is null and departments.patients_in_bed > 0)
