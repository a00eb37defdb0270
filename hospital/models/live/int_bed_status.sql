-- One row per bed that is known: occupied, held for a patient on leave, being cleaned, or free. A bed is being cleaned for
-- `bed_cleaning_minutes` after its patient has left, unless somebody lies in it already. Known are the beds of hospitals that send
-- events: those that an event named lately, and those of the extracts.

with stays as (

    select
        current_stays.hospital_id,
        current_stays.bed_id,
        current_stays.department_id,
        current_stays.encounter_id,
        current_stays.bed_state,
        current_stays.valid_from,
        current_stays.valid_to,
        current_stays.valid_to is null or current_stays.valid_to > clock.as_of_at as is_open,
        clock.as_of_at
    from {{ ref('int_bed_current') }} as current_stays
    cross join {{ ref('int_live_clock') }} as clock
    where current_stays.bed_state is not null
        and current_stays.bed_id is not null
        and current_stays.valid_from <= clock.as_of_at

),

used as (

    -- Who lies in it comes before whom it is held for; of several, who came last.
    select *
    from stays
    qualify row_number() over (
        partition by hospital_id, bed_id
        order by
            case when is_open and bed_state = 'occupied' then 0 when is_open then 1 else 2 end,
            case when is_open then valid_from else valid_to end desc,
            encounter_id
    ) = 1

),

known as (

    select hospital_id, bed_id
    from used
    union
    select beds.hospital_id, beds.bed_id
    from {{ ref('stg_hospital__beds') }} as beds
    inner join (select distinct hospital_id from stays) as senders on beds.hospital_id = senders.hospital_id

)

select
    known.hospital_id,
    known.bed_id,
    coalesce(used.department_id, beds.department_id, 'unknown') as department_id,
    case
        when used.is_open then used.bed_state
        when {{ dbt.dateadd('minute', var('bed_cleaning_minutes'), 'used.valid_to') }} > used.as_of_at then 'cleaning'
        else 'free'
    end as bed_status,
    case when used.is_open then used.encounter_id end as encounter_id,
    case when used.is_open then used.valid_from else used.valid_to end as since_at
from known
left join used on known.hospital_id = used.hospital_id and known.bed_id = used.bed_id
left join {{ ref('stg_hospital__beds') }} as beds on known.hospital_id = beds.hospital_id and known.bed_id = beds.bed_id
