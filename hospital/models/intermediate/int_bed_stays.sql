-- One row per stay of a patient in one bed. A stay ends at the first of: its own end, the start of the encounter's next stay,
-- the discharge; so a patient holds one bed at a time, and a discharged one holds none, whatever the feed left open.
-- A bed encounter without one usable movement is one inferred stay, in the bed of its first movement if it has one, else in
-- its own department: it is not lost, and it is marked. A department that no extract knows is replaced by that of the bed,
-- which is a matter of fact.

with movements as (

    select
        transfers.*,
        lead(transfers.started_at) over (
            partition by transfers.encounter_id order by transfers.started_at, transfers.movement_id
        ) as next_started_at,
        encounters.encounter_class,
        encounters.left_at as encounter_left_at,
        encounters.encounter_id is null as is_orphan,
        coalesce(encounters.is_counted and encounters.is_bed_stay, false) as is_counted_encounter,
        coalesce(encounters.is_inpatient, false) as is_inpatient
    from {{ ref('stg_hospital__transfers') }} as transfers
    left join {{ ref('int_encounters') }} as encounters
        on transfers.encounter_id = encounters.encounter_id

),

known as (

    select
        movement_id,
        encounter_id,
        patient_id,
        hospital_id,
        department_id,
        room_id,
        bed_id,
        movement_type,
        reason,
        encounter_class,
        started_at,
        least(ended_at, next_started_at, encounter_left_at) as ended_at,
        started_date,
        coalesce(ended_at < started_at, false) or coalesce(encounter_left_at < started_at, false) as is_impossible_stay,
        is_orphan,
        false as is_inferred,
        is_counted_encounter,
        is_inpatient,
        source_file,
        source_position
    from movements

),

first_movements as (

    select encounter_id, department_id, room_id, bed_id
    from known
    qualify row_number() over (partition by encounter_id order by movement_id) = 1

),

inferred as (

    select
        'encounter:' || encounters.encounter_id as movement_id,
        encounters.encounter_id,
        encounters.patient_id,
        encounters.hospital_id,
        coalesce(first_movements.department_id, encounters.department_id) as department_id,
        first_movements.room_id,
        first_movements.bed_id,
        'admit' as movement_type,
        cast(null as varchar) as reason,
        encounters.encounter_class,
        encounters.stay_started_at as started_at,
        encounters.left_at as ended_at,
        encounters.stay_start_date as started_date,
        false as is_impossible_stay,
        false as is_orphan,
        true as is_inferred,
        encounters.is_counted as is_counted_encounter,
        encounters.is_inpatient,
        encounters.source_file,
        encounters.source_position
    from {{ ref('int_encounters') }} as encounters
    cross join {{ ref('int_clock') }} as clock
    left join (
        select encounter_id, min(started_at) as first_started_at
        from known
        where not is_impossible_stay
        group by encounter_id
    ) as moved
        on encounters.encounter_id = moved.encounter_id
    left join first_movements on encounters.encounter_id = first_movements.encounter_id
    where encounters.is_bed_stay
        and encounters.is_counted
        and coalesce(moved.first_started_at > clock.as_of_at, true)

),

stays as (

    select * from known
    union all
    select * from inferred

)

select
    -- ids
    stays.movement_id,
    stays.encounter_id,
    stays.patient_id,
    stays.hospital_id,
    case
        when departments.department_id is null then coalesce(beds.department_id, stays.department_id)
        else stays.department_id
    end as department_id,
    stays.room_id,
    stays.bed_id,
    -- text
    stays.movement_type,
    stays.reason,
    stays.encounter_class,
    coalesce(beds.bed_type, 'unknown') as bed_type,
    -- flags
    stays.is_inpatient,
    stays.is_impossible_stay,
    stays.is_orphan,
    stays.is_inferred,
    departments.department_id is null as is_department_unknown,
    coalesce(stays.started_at > clock.as_of_at, false) as is_after_now,
    -- Boarders lie in cots of the emergency department; those are no well-baby cots.
    coalesce(beds.bed_type = 'cot' and coalesce(departments.department_type, 'unknown') <> 'emergency', false) as is_cot,
    stays.is_counted_encounter
        and not stays.is_impossible_stay
        and stays.started_at is not null
        and stays.started_at <= clock.as_of_at
        and (stays.ended_at is null or stays.ended_at > stays.started_at) as is_counted,
    stays.ended_at is null or stays.ended_at > clock.as_of_at as is_open,
    -- instants and dates
    stays.started_at,
    case when stays.ended_at <= clock.as_of_at then stays.ended_at end as ended_at,
    stays.started_date,
    case
        when stays.ended_at <= clock.as_of_at
        then cast({{ utc_to_local('stays.ended_at', var('time_zone')) }} as date)
    end as ended_date,
    -- lineage
    stays.source_file,
    stays.source_position
from stays
left join {{ ref('stg_hospital__beds') }} as beds on stays.bed_id = beds.bed_id
left join {{ ref('stg_hospital__departments') }} as departments on stays.department_id = departments.department_id
cross join {{ ref('int_clock') }} as clock
