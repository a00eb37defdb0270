-- The ledger as readers want it: who was where from when to when (valid time), and from when to when that was believed (recorded
-- time). `recorded_to` is NULL for what is believed now. Every version of an encounter is whole: for what was known at an instant
-- take the version of that instant and nothing of the others.

with versions as (

    select
        *,
        -- Later versions are never recorded earlier, so the least of them is the next one's.
        min(recorded_from) over (
            partition by hospital_id, encounter_id
            order by version
            range between 1 following and unbounded following
        ) as recorded_to
    from {{ ref('int_bed_ledger') }}

)

select
    -- ids
    versions.hospital_id,
    versions.encounter_id,
    versions.version,
    versions.event_id,
    versions.patient_id,
    coalesce(survivors.survivor_id, versions.patient_id) as surviving_patient_id,
    versions.department_id,
    versions.room_id,
    versions.bed_id,
    versions.prior_bed_id,
    -- text
    triggers.event_name as movement_type,
    versions.event_type,
    versions.ended_by_event_type,
    versions.bed_state,
    versions.finding,
    -- instants
    versions.valid_from,
    versions.valid_to,
    versions.recorded_from,
    versions.recorded_to,
    versions.received_at
from versions
left join {{ ref('int_adt_triggers') }} as triggers on versions.event_type = triggers.event_type
left join {{ ref('int_bed_survivors') }} as survivors
    on versions.hospital_id = survivors.hospital_id
    and versions.patient_id = survivors.from_id
    and survivors.id_type = 'patient'
where versions.bed_state is not null
    and (versions.recorded_to is null or versions.recorded_to > versions.recorded_from)
