-- Typed events, each delivered once, with the rules it breaks. Few events are delivered twice, so only those are put in order;
-- the joins are right joins because the left side is the one that is held in memory.

with repeated as (

    select event_id
    from {{ source('extracts', 'events') }}
    group by event_id
    having count(*) > 1

),

delivered_once as (

    select events.*
    from repeated
    right anti join {{ source('extracts', 'events') }} as events on repeated.event_id = events.event_id

    union all

    select events.*
    from repeated
    right semi join {{ source('extracts', 'events') }} as events on repeated.event_id = events.event_id
    qualify row_number() over (partition by events.event_id order by events._file, events._position) = 1

),

typed as (

    select
        event_id,
        patient_id,
        case
            when lower(trim(gender)) in ('f', 'female') then 'Female'
            when lower(trim(gender)) in ('m', 'male') then 'Male'
        end as gender,
        try_cast(age as integer) as age,
        department_id,
        try_cast(hospital_id as integer) as hospital_id,
        try_cast(bed_id as integer) as bed_id,
        try_cast(admission_time as timestamp) as admission_at,
        try_cast(discharge_time as timestamp) as discharge_at,
        age as raw_age,
        admission_time as raw_admission_time
    from delivered_once

),

known as (

    select hospital_id, department_id
    from {{ ref('dim_department') }}
    where is_current

)

select
    typed.*,
    concat(
        case when typed.patient_id is null then 'patient_missing,' end,
        case when typed.age is null or typed.age not between 0 and 120 then 'age_invalid,' end,
        case when known.department_id is null then 'department_unknown,' end,
        case when typed.admission_at is null then 'admission_invalid,' end,
        case when typed.discharge_at < typed.admission_at then 'discharge_before_admission,' end
    ) as reasons
from typed
left join known on typed.hospital_id = known.hospital_id and typed.department_id = known.department_id
