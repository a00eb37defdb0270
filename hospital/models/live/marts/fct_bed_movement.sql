-- The ledger as readers want it: who was where from when to when (valid time), and from when to when that was believed (recorded
-- time). `recorded_to` is NULL for what is believed now. Every version of an encounter is whole: for what was known at an instant
-- take the version of that instant and nothing of the others.

with followed as (

    select
        *,
        first_value(recorded_from) over (
            partition by hospital_id, encounter_id order by version groups between 1 following and 1 following
        ) as recorded_to
    from {{ ref('int_bed_ledger') }}

)

select
    -- ids
    movements.hospital_id,
    movements.encounter_id,
    movements.version,
    movements.event_id,
    movements.patient_id,
    coalesce(survivors.survivor_id, movements.patient_id) as surviving_patient_id,
    movements.facility,
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
    movements.recorded_to,
    movements.received_at
from followed as movements
left join {{ ref('int_adt_triggers') }} as triggers on movements.event_type = triggers.event_type
left join {{ ref('int_bed_survivors') }} as survivors
    on movements.hospital_id = survivors.hospital_id
    and movements.patient_id = survivors.from_id
    and survivors.id_type = 'patient'
where movements.bed_state is not null
    and (movements.recorded_to is null or movements.recorded_to > movements.recorded_from)
