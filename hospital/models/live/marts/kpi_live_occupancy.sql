-- Instantaneous occupancy now of each inpatient department of the hospitals that send events, by the live ledger. A department
-- in whose beds patients lie and that is no inpatient department, or that no extract knows, is listed without staffed beds.

with statuses as (

    select
        statuses.hospital_id,
        statuses.department_id,
        count(*) filter (where statuses.bed_status = 'held') as beds_held,
        count(*) filter (where statuses.bed_status = 'cleaning') as beds_cleaning
    from {{ ref('int_bed_status') }} as statuses
    group by statuses.hospital_id, statuses.department_id

),

occupied as (

    select hospital_id, department_id, count(*) as patients_in_bed
    from {{ ref('int_live_census') }}
    where bed_state = 'occupied'
        and not is_cot
    group by hospital_id, department_id

),

departments as (

    select hospital_id, department_id, department_name, department_type, staffed_beds
    from {{ ref('dim_department') }}
    where is_current
        and is_inpatient_department
        and hospital_id in (select hospital_id from statuses)
    union all
    -- Departments that only the stream knows.
    select
        occupied.hospital_id,
        occupied.department_id,
        occupied.department_id as department_name,
        'unknown' as department_type,
        cast(null as integer) as staffed_beds
    from occupied
    left join {{ ref('dim_department') }} as known
        on occupied.hospital_id = known.hospital_id
        and occupied.department_id = known.department_id
        and known.is_current
        and known.is_inpatient_department
    where known.department_id is null

)

select
    departments.hospital_id,
    departments.department_id,
    departments.department_name,
    departments.department_type,
    clock.as_of_at,
    coalesce(occupied.patients_in_bed, 0) as patients_in_bed,
    coalesce(statuses.beds_held, 0) as beds_held,
    coalesce(statuses.beds_cleaning, 0) as beds_cleaning,
    departments.staffed_beds,
    departments.staffed_beds - coalesce(occupied.patients_in_bed, 0) - coalesce(statuses.beds_held, 0)
        - coalesce(statuses.beds_cleaning, 0) as free_staffed_beds,
    {{ ratio('coalesce(occupied.patients_in_bed, 0)', 'departments.staffed_beds') }} as occupancy_rate
from departments
cross join {{ ref('int_live_clock') }} as clock
left join occupied
    on departments.hospital_id = occupied.hospital_id
    and departments.department_id = occupied.department_id
left join statuses
    on departments.hospital_id = statuses.hospital_id
    and departments.department_id = statuses.department_id
