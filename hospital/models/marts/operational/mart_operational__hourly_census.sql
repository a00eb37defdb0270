-- One row per inpatient department and full hour up to now: who lies in its beds at that instant. Each bed stay adds one at the
-- first full hour at or after its start and takes one away at the first full hour at or after its end; a running sum over the
-- hours is the census. No stay is compared with every hour it covers.

with stays as (

    select
        department_id,
        started_at,
        ended_at,
        case when is_inpatient then 1 else 0 end as inpatients
    from {{ ref('int_bed_stays') }}
    where is_counted
        and not is_cot

),

steps as (

    select department_id, {{ next_full_hour('started_at') }} as hour_at, 1 as patients, inpatients
    from stays
    union all
    select department_id, {{ next_full_hour('ended_at') }} as hour_at, -1 as patients, -inpatients as inpatients
    from stays
    where ended_at is not null

),

step_sums as (

    select department_id, hour_at, cast(sum(patients) as bigint) as patients, cast(sum(inpatients) as bigint) as inpatients
    from steps
    group by department_id, hour_at

),

span as (

    select min(steps.hour_at) as first_hour_at, max(clock.as_of_at) as last_at
    from steps
    cross join {{ ref('int_clock') }} as clock

),

hours as (

    select hour_at
    from (
        select {{ dbt.dateadd('hour', 'numbers.n', 'span.first_hour_at') }} as hour_at, span.last_at
        from ({{ numbers(5) }}) as numbers
        cross join span
    ) as spread
    where hour_at <= last_at

),

departments as (

    select department_key, department_id, hospital_id, department_name, department_type, staffed_beds, valid_from, valid_to
    from {{ ref('dim_department') }}
    where is_inpatient_department

),

grid as (

    select departments.*, hours.hour_at
    from hours
    inner join departments on {{ held_at('departments', 'hours.hour_at') }}

)

select
    grid.department_key,
    grid.department_id,
    grid.hospital_id,
    grid.department_name,
    grid.department_type,
    grid.hour_at,
    {{ utc_to_local('grid.hour_at', var('time_zone')) }} as hour_local_at,
    coalesce(grid.staffed_beds, 0) as staffed_beds,
    cast(sum(coalesce(step_sums.patients, 0)) over (
        partition by grid.department_id order by grid.hour_at rows between unbounded preceding and current row
    ) as bigint) as patients_in_bed,
    cast(sum(coalesce(step_sums.inpatients, 0)) over (
        partition by grid.department_id order by grid.hour_at rows between unbounded preceding and current row
    ) as bigint) as inpatients_in_bed
from grid
left join step_sums on grid.department_id = step_sums.department_id and grid.hour_at = step_sums.hour_at
