-- One row per bed that is known: occupied, held for a patient on leave, being cleaned, or free. A bed is being cleaned for
-- `bed_cleaning_minutes` after its patient has left, unless somebody lies in it already. Known are the beds of hospitals that send
-- events: those that an event named lately, and those of the extracts.

with uses as (

    select
        current_stays.hospital_id,
        {{ bed_key('current_stays', 'beds') }} as bed_key,
        current_stays.facility,
        coalesce(current_stays.department_id, beds.department_id) as department_id,
        coalesce(current_stays.room_id, beds.room_id) as room_id,
        current_stays.bed_id,
        current_stays.encounter_id,
        current_stays.bed_state,
        current_stays.valid_from,
        current_stays.valid_to,
        current_stays.valid_to is null or current_stays.valid_to > clock.as_of_at as is_open,
        clock.as_of_at
    from {{ ref('int_bed_current') }} as current_stays
    cross join {{ ref('int_live_clock') }} as clock
    left join {{ ref('stg_hospital__beds') }} as beds
        on current_stays.hospital_id = beds.hospital_id
        and current_stays.bed_id = beds.bed_id
    where current_stays.bed_state is not null
        and current_stays.bed_id is not null
        and current_stays.valid_from <= clock.as_of_at
    union all
    -- A bed of the extracts, used or not.
    select
        hospital_id,
        bed_id as bed_key,
        cast(null as varchar) as facility,
        department_id,
        room_id,
        bed_id,
        cast(null as varchar) as encounter_id,
        cast(null as varchar) as bed_state,
        cast(null as timestamp) as valid_from,
        cast(null as timestamp) as valid_to,
        cast(null as boolean) as is_open,
        cast(null as timestamp) as as_of_at
    from {{ ref('stg_hospital__beds') }}

),

last_uses as (

    -- Who lies in it comes before whom it is held for; of several, who came last.
    select *
    from uses
    qualify row_number() over (
        partition by hospital_id, bed_key
        order by
            case when is_open and bed_state = 'occupied' then 0 when is_open then 1 when bed_state is not null then 2 else 3 end,
            case when is_open then valid_from else valid_to end desc,
            encounter_id
    ) = 1

),

known as (

    select
        *,
        max(case when bed_state is not null then 1 else 0 end) over (partition by hospital_id) = 1 as is_of_a_sender
    from last_uses

)

select
    known.hospital_id,
    known.bed_key,
    known.facility,
    coalesce(known.department_id, 'unknown') as department_id,
    known.room_id,
    known.bed_id,
    case
        when known.is_open then known.bed_state
        when {{ dbt.dateadd('minute', var('bed_cleaning_minutes'), 'known.valid_to') }} > known.as_of_at then 'cleaning'
        else 'free'
    end as bed_status,
    case when known.is_open then known.encounter_id end as encounter_id,
    case when known.is_open then known.valid_from else known.valid_to end as since_at
from known
where known.is_of_a_sender
