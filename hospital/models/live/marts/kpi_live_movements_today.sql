-- Admissions, discharges and transfers since local midnight, per hospital and department.

with today as (

    select events.*
    from {{ ref('int_bed_current') }} as events
    cross join {{ ref('int_live_clock') }} as clock
    where events.verdict in ('placed', 'ended')
        and events.occurred_at <= clock.as_of_at
        and cast({{ utc_to_local('events.occurred_at', var('time_zone')) }} as date) = clock.as_of_date

),

movements as (

    select hospital_id, department_id, 1 as admissions, 0 as discharges, 0 as transfers_in, 0 as transfers_out
    from today
    where event_type = 'A01'
    union all
    select hospital_id, department_id, 0 as admissions, 1 as discharges, 0 as transfers_in, 0 as transfers_out
    from today
    where verdict = 'ended'
        and bed_id is not null
    union all
    select hospital_id, department_id, 0 as admissions, 0 as discharges, 1 as transfers_in, 0 as transfers_out
    from today
    where role = 'move'
        and department_id <> before_department_id
    union all
    select hospital_id, before_department_id as department_id, 0 as admissions, 0 as discharges, 0 as transfers_in, 1 as transfers_out
    from today
    where role = 'move'
        and department_id <> before_department_id

)

select
    movements.hospital_id,
    movements.department_id,
    clock.as_of_date as movement_date,
    cast(sum(movements.admissions) as bigint) as admissions,
    cast(sum(movements.discharges) as bigint) as discharges,
    cast(sum(movements.transfers_in) as bigint) as transfers_in,
    cast(sum(movements.transfers_out) as bigint) as transfers_out
from movements
cross join {{ ref('int_live_clock') }} as clock
group by movements.hospital_id, movements.department_id, clock.as_of_date
