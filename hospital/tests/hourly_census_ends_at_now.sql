-- The running sum of the hourly census, at the last full hour, is what counting the open bed stays at that hour gives.

with last_hour as (

    select max(hour_at) as hour_at
    from {{ ref('mart_operational__hourly_census') }}

),

summed as (

    select census.department_id, census.patients_in_bed
    from {{ ref('mart_operational__hourly_census') }} as census
    inner join last_hour on census.hour_at = last_hour.hour_at

),

counted as (

    select stays.department_id, count(*) as patients_in_bed
    from {{ ref('int_bed_stays') }} as stays
    cross join last_hour
    where stays.is_counted
        and not stays.is_cot
        and stays.started_at <= last_hour.hour_at
        and (stays.ended_at is null or stays.ended_at > last_hour.hour_at)
    group by stays.department_id

)

select summed.department_id, summed.patients_in_bed, counted.patients_in_bed as counted_patients
from summed
left join counted on summed.department_id = counted.department_id
where summed.patients_in_bed <> coalesce(counted.patients_in_bed, 0)
