-- Who is admitted and still in an emergency department now, per hospital and department.

with admissions as (

    select hospital_id, encounter_id, min(valid_from) as admitted_at
    from {{ ref('int_bed_current') }}
    where verdict = 'placed'
        and event_type in ('A01', 'A06')
    group by hospital_id, encounter_id

),

boarders as (

    select
        census.hospital_id,
        census.department_id,
        {{ minutes_between('admissions.admitted_at', 'census.as_of_at') }} as boarding_minutes
    from {{ ref('int_live_census') }} as census
    inner join admissions
        on census.hospital_id = admissions.hospital_id
        and census.encounter_id = admissions.encounter_id
    where census.department_type = 'emergency'
        and census.bed_state <> 'held'
        and admissions.admitted_at <= census.as_of_at

)

select
    boarders.hospital_id,
    boarders.department_id,
    clock.as_of_at,
    count(*) as boarders_now,
    sum(boarders.boarding_minutes) as boarding_minutes,
    {{ ratio('sum(boarders.boarding_minutes)', 'count(*)') }} as average_boarding_minutes,
    max(boarders.boarding_minutes) as longest_boarding_minutes,
    count(*) filter (where boarders.boarding_minutes > 120) as boarding_over_2h,
    count(*) filter (where boarders.boarding_minutes > 240) as boarding_over_4h
from boarders
cross join {{ ref('int_live_clock') }} as clock
group by boarders.hospital_id, boarders.department_id, clock.as_of_at
