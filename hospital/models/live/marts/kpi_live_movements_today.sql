-- Admissions, discharges and transfers since local midnight, per hospital and department.

with today as (

    select events.*
    from {{ ref('int_bed_current') }} as events
    cross join {{ ref('int_live_clock') }} as clock
    where events.verdict in ('placed', 'ended')
        and events.occurred_at <= clock.as_of_at
        and cast({{ utc_to_local('events.occurred_at', var('time_zone')) }} as date) = clock.as_of_date

),

counted as (

    select
        hospital_id,
        department_id,
        before_department_id,
        count(*) filter (where event_type = 'A01' and coalesce(finding, '') <> 'admitted_twice') as admissions,
        count(*) filter (where verdict = 'ended' and bed_id is not null) as discharges,
        -- A cancel and an update that are placed move the patient too.
        count(*) filter (where role in ('move', 'cancel', 'update') and department_id <> before_department_id) as transfers
    from today
    group by hospital_id, department_id, before_department_id

),

-- A transfer is one into a department and one out of another.
sides as (

    select true as is_into
    union all
    select false as is_into

),

movements as (

    select
        counted.hospital_id,
        case when sides.is_into then counted.department_id else counted.before_department_id end as department_id,
        case when sides.is_into then counted.admissions else 0 end as admissions,
        case when sides.is_into then counted.discharges else 0 end as discharges,
        case when sides.is_into then counted.transfers else 0 end as transfers_in,
        case when sides.is_into then 0 else counted.transfers end as transfers_out
    from counted
    cross join sides

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
where movements.admissions + movements.discharges + movements.transfers_in + movements.transfers_out > 0
group by movements.hospital_id, movements.department_id, clock.as_of_date
