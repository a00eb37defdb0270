-- Occupancy of each department at the last 25 full hours up to now, by what is believed now.

with hours as (

    select {{ dbt.dateadd('hour', '-1 * numbers.n', dbt.date_trunc('hour', 'clock.as_of_at')) }} as hour_at
    from ({{ numbers(2) }}) as numbers
    cross join {{ ref('int_live_clock') }} as clock
    where numbers.n <= 24

),

stays as (

    select
        stays.hospital_id,
        coalesce(stays.department_id, beds.department_id, 'unknown') as department_id,
        stays.valid_from,
        stays.valid_to
    from {{ ref('int_bed_current') }} as stays
    left join {{ ref('stg_hospital__beds') }} as beds
        on stays.hospital_id = beds.hospital_id
        and stays.bed_id = beds.bed_id
    left join {{ ref('dim_department') }} as departments
        on stays.department_id = departments.department_id
        and departments.is_current
    where stays.bed_state = 'occupied'
        and not coalesce(beds.bed_type = 'cot' and coalesce(departments.department_type, 'unknown') <> 'emergency', false)

),

counted as (

    select stays.hospital_id, stays.department_id, hours.hour_at, count(*) as patients_in_bed
    from hours
    inner join stays
        on stays.valid_from <= hours.hour_at
        and (stays.valid_to is null or stays.valid_to > hours.hour_at)
    group by stays.hospital_id, stays.department_id, hours.hour_at

)

select
    departments.hospital_id,
    departments.department_id,
    departments.department_name,
    hours.hour_at,
    {{ utc_to_local('hours.hour_at', var('time_zone')) }} as hour_local_at,
    coalesce(counted.patients_in_bed, 0) as patients_in_bed,
    departments.staffed_beds,
    {{ ratio('coalesce(counted.patients_in_bed, 0)', 'departments.staffed_beds') }} as occupancy_rate
from {{ ref('kpi_live_occupancy') }} as departments
cross join hours
left join counted
    on departments.hospital_id = counted.hospital_id
    and departments.department_id = counted.department_id
    and hours.hour_at = counted.hour_at
