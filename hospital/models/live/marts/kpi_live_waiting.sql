-- Who waits for a bed in an emergency department now, and how long those waited who got one today, per hospital and department of
-- arrival. Outpatients are present without a bed too, and wait for none; a department that no extract knows counts.

with waiting as (

    select
        census.hospital_id,
        census.department_id,
        {{ minutes_between('waits.wait_started_at', 'census.as_of_at') }} as waited_minutes
    from {{ ref('int_live_census') }} as census
    inner join {{ ref('int_live_waits') }} as waits
        on census.hospital_id = waits.hospital_id
        and census.encounter_id = waits.encounter_id
    where census.bed_state = 'waiting'
        and census.department_type in ('emergency', 'unknown')

),

now_waiting as (

    select
        hospital_id,
        department_id,
        count(*) as waiting_now,
        count(*) filter (where waited_minutes > 240) as waiting_over_4h,
        max(waited_minutes) as longest_wait_minutes,
        {{ percentile('waited_minutes', 0.5) }} as median_waited_minutes,
        {{ percentile('waited_minutes', 0.9) }} as p90_waited_minutes
    from waiting
    group by hospital_id, department_id

),

today as (

    select
        waits.hospital_id,
        waits.department_id,
        count(*) as waits_ended_today,
        {{ percentile('waits.wait_minutes', 0.5) }} as median_wait_minutes,
        {{ percentile('waits.wait_minutes', 0.9) }} as p90_wait_minutes
    from {{ ref('int_live_waits') }} as waits
    cross join {{ ref('int_live_clock') }} as clock
    left join {{ ref('dim_department') }} as departments
        on waits.department_id = departments.department_id
        and departments.is_current
    where coalesce(departments.department_type, 'unknown') in ('emergency', 'unknown')
        and waits.in_bed_at <= clock.as_of_at
        and cast({{ utc_to_local('waits.in_bed_at', var('time_zone')) }} as date) = clock.as_of_date
    group by waits.hospital_id, waits.department_id

),

departments as (

    select hospital_id, department_id from now_waiting
    union
    select hospital_id, department_id from today

)

select
    departments.hospital_id,
    departments.department_id,
    clock.as_of_at,
    coalesce(now_waiting.waiting_now, 0) as waiting_now,
    coalesce(now_waiting.waiting_over_4h, 0) as waiting_over_4h,
    now_waiting.longest_wait_minutes,
    now_waiting.median_waited_minutes,
    now_waiting.p90_waited_minutes,
    coalesce(today.waits_ended_today, 0) as waits_ended_today,
    today.median_wait_minutes,
    today.p90_wait_minutes
from departments
cross join {{ ref('int_live_clock') }} as clock
left join now_waiting
    on departments.hospital_id = now_waiting.hospital_id
    and departments.department_id is not distinct from now_waiting.department_id
left join today
    on departments.hospital_id = today.hospital_id
    and departments.department_id is not distinct from today.department_id
