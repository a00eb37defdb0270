-- What the cancel events say of an encounter: A11 voids the admission, A13 reopens the stay. The event recorded last
-- decides, so an admission cancelled and made again stands.

with admissions as (

    select encounter_id, event_type
    from {{ ref('stg_hospital__adt') }}
    where event_type in ('A01', 'A11')
        and encounter_id is not null
    qualify row_number() over (
        partition by encounter_id
        order by recorded_at desc nulls last, occurred_at desc nulls last, event_id desc
    ) = 1

),

discharges as (

    select encounter_id, event_type, recorded_at
    from {{ ref('stg_hospital__adt') }}
    where event_type in ('A03', 'A13')
        and encounter_id is not null
    qualify row_number() over (
        partition by encounter_id
        order by recorded_at desc nulls last, occurred_at desc nulls last, event_id desc
    ) = 1

),

cancelled as (

    select
        encounter_id,
        true as is_admission_cancelled,
        cast(null as timestamp) as discharge_cancelled_at
    from admissions
    where event_type = 'A11'
    union all
    select
        encounter_id,
        false as is_admission_cancelled,
        recorded_at as discharge_cancelled_at
    from discharges
    where event_type = 'A13'

)

select
    encounter_id,
    count(*) filter (where is_admission_cancelled) > 0 as is_admission_cancelled,
    max(discharge_cancelled_at) as discharge_cancelled_at
from cancelled
group by encounter_id
