-- The midnight censuses of all departments add up to the bed days with a midnight, where the department is known.

with census as (

    select hospital_id, cast(sum(patients_at_midnight + cots_at_midnight) as bigint) as patients
    from {{ ref('mart_operational__daily_census') }}
    group by hospital_id

),

bed_days as (

    select departments.hospital_id, count(*) as patients
    from {{ ref('fct_bed_day') }} as facts
    inner join {{ ref('dim_department') }} as departments
        on facts.department_id = departments.department_id
        and departments.is_current
    where facts.is_midnight_census
    group by departments.hospital_id

)

select census.hospital_id, census.patients, bed_days.patients as bed_day_patients
from census
left join bed_days on census.hospital_id = bed_days.hospital_id
where census.patients <> coalesce(bed_days.patients, 0)
