-- The ledger as readers want it: who was where from when to when (valid time), and from when to when that was believed (recorded
-- time). `recorded_to` is NULL for what is believed now. Every version of an encounter is whole: for what was known at an instant
-- take the version of that instant and nothing of the others.

with versions as (

    select distinct hospital_id, encounter_id, version, recorded_from
    from {{ ref('int_bed_ledger') }}

),

followed as (

    select
        *,
        lead(hospital_id) over (order by hospital_id, encounter_id, version) as next_hospital_id,
        lead(encounter_id) over (order by hospital_id, encounter_id, version) as next_encounter_id,
        lead(recorded_from) over (order by hospital_id, encounter_id, version) as next_recorded_from
    from versions

),

believed as (

    select
        hospital_id,
        encounter_id,
        version,
        recorded_from,
        case when next_hospital_id = hospital_id and next_encounter_id = encounter_id then next_recorded_from end
            as recorded_to
    from followed

)

select
    -- ids
    movements.hospital_id,
    movements.encounter_id,
    movements.version,
    movements.event_id,
    movements.patient_id,
    coalesce(survivors.survivor_id, movements.patient_id) as surviving_patient_id,
    movements.department_id,
    movements.room_id,
    movements.bed_id,
    movements.prior_bed_id,
    -- text
    triggers.event_name as movement_type,
    movements.event_type,
    movements.ended_by_event_type,
    movements.bed_state,
    movements.finding,
    -- instants
    movements.valid_from,
    movements.valid_to,
    movements.recorded_from,
    believed.recorded_to,
    movements.received_at
from {{ ref('int_bed_ledger') }} as movements
inner join believed
    on movements.hospital_id = believed.hospital_id
    and movements.encounter_id = believed.encounter_id
    and movements.version = believed.version
left join {{ ref('int_adt_triggers') }} as triggers on movements.event_type = triggers.event_type
left join {{ ref('int_bed_survivors') }} as survivors
    on movements.hospital_id = survivors.hospital_id
    and movements.patient_id = survivors.from_id
    and survivors.id_type = 'patient'
where movements.bed_state is not null
    and (believed.recorded_to is null or believed.recorded_to > believed.recorded_from)
