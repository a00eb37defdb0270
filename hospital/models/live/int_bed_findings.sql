-- What cannot be true in the beds of encounters that are open or were lately: one row per finding, with its kind and the reason in
-- words. A finding is never a silent repair: the ledger shows what the events say. Events that count for nothing, for they lie where they
-- cannot or lack what their trigger needs, are among them; messages of a training system are not.

with current_events as (

    select
        events.*,
        coalesce(survivors.survivor_id, events.patient_id) as surviving_patient_id
    from {{ ref('int_bed_current') }} as events
    left join {{ ref('int_bed_survivors') }} as survivors
        on events.hospital_id = survivors.hospital_id
        and events.patient_id = survivors.from_id
        and survivors.id_type = 'patient'

),

in_bed as (

    select current_events.*, {{ bed_key('current_events', 'beds') }} as bed_key
    from current_events
    left join {{ ref('stg_hospital__beds') }} as beds
        on current_events.hospital_id = beds.hospital_id
        and current_events.bed_id = beds.bed_id
    where current_events.bed_state in ('occupied', 'held')
        and current_events.bed_id is not null
        and (current_events.valid_to is null or current_events.valid_to > current_events.valid_from)

),

-- The stay in the same bed that ends last of those begun before: if it is not over, two patients have one bed.
shared_beds as (

    select
        *,
        max(coalesce(valid_to, timestamp '9999-12-31 00:00:00')) over (
            partition by hospital_id, bed_key order by valid_from, encounter_id
            rows between unbounded preceding and 1 preceding
        ) as bed_taken_until,
        lag(encounter_id) over (partition by hospital_id, bed_key order by valid_from, encounter_id) as before_encounter_id
    from in_bed

),

-- The same for the stays of one patient, each encounter from its first bed to its last.
stays as (

    select
        hospital_id,
        surviving_patient_id,
        encounter_id,
        min(valid_from) as valid_from,
        max(coalesce(valid_to, timestamp '9999-12-31 00:00:00')) as valid_to
    from in_bed
    group by hospital_id, surviving_patient_id, encounter_id

),

overlapping_stays as (

    select
        *,
        max(valid_to) over (
            partition by hospital_id, surviving_patient_id order by valid_from, encounter_id
            rows between unbounded preceding and 1 preceding
        ) as in_bed_until
    from stays

),

-- Events that count for nothing, and updates that name a place.
recent_events as (

    select
        events.hospital_id,
        events.encounter_id,
        events.patient_id,
        events.department_id,
        events.room_id,
        events.bed_id,
        events.event_id,
        events.occurred_at,
        events.known_at,
        events.withheld,
        case
            when events.withheld = 'not_production' then null
            when events.withheld is not null then 'withheld_event'
            when triggers.event_type is null
                or events.hospital_id is null
                or events.occurred_at is null
                or (triggers.role not in ('none', 'merge', 'update') and events.encounter_id is null)
                then 'unplaceable_event'
            when events.event_type = 'A08'
                and triggers.role = 'none'
                and (events.department_id is not null or events.bed_id is not null)
                then 'update'
        end as kind
    from {{ ref('int_bed_events') }} as events
    left join {{ ref('int_adt_triggers') }} as triggers on triggers.event_type = {{ told_trigger('events') }}
    cross join {{ ref('int_live_clock') }} as clock
    -- A time that cannot be is no measure of what is recent: then the arrival is.
    where case when events.withheld is null then events.known_at else events.received_at end
        >= {{ dbt.dateadd('day', -1 * var('live_keep_days'), 'clock.newest_event_at') }}

),

-- The place that the last update (A08) of an encounter names.
updates as (

    select *
    from recent_events
    where kind = 'update'
    qualify row_number() over (
        partition by hospital_id, encounter_id order by occurred_at desc, known_at desc, event_id desc
    ) = 1

)

select
    finding as kind,
    case finding
        when 'never_admitted' then 'A patient is in a bed and was never admitted.'
        when 'moved_after_discharge' then 'A discharged patient was moved: still in a bed, or the discharge was wrong.'
        when 'moved_before_admission' then 'A patient was moved before the admission.'
        when 'discharged_twice' then 'A patient who had been discharged was discharged again.'
        when 'discharged_without_stay' then 'A patient was discharged who had never come.'
        when 'cancel_without_event' then 'There is no event that this one could take back.'
        when 'returned_without_leave' then 'A patient came back from a leave that did not begin.'
        when 'not_in_prior_bed' then 'A patient was moved out of a bed that was not the patient''s.'
        when 'moved_after_cancelled_admission' then 'A patient was moved whose admission had been taken back.'
        when 'admitted_twice' then 'A patient was admitted again without having left: which admission holds is not clear.'
    end as reason,
    hospital_id,
    encounter_id,
    surviving_patient_id as patient_id,
    bed_id,
    event_id,
    occurred_at as found_at
from current_events
where finding is not null
union all
select
    'two_patients_in_one_bed' as kind,
    'Two patients have one bed at once.' as reason,
    hospital_id,
    encounter_id,
    surviving_patient_id as patient_id,
    bed_id,
    event_id,
    valid_from as found_at
from shared_beds
where bed_taken_until > valid_from
    and before_encounter_id <> encounter_id
union all
select
    'overlapping_stays' as kind,
    'One patient lies in two beds, in two encounters.' as reason,
    hospital_id,
    encounter_id,
    surviving_patient_id as patient_id,
    cast(null as varchar) as bed_id,
    cast(null as varchar) as event_id,
    valid_from as found_at
from overlapping_stays
where in_bed_until > valid_from
union all
select
    'merge_cycle' as kind,
    'Merges go round in a circle: the smallest number was taken.' as reason,
    hospital_id,
    case id_type when 'encounter' then from_id end as encounter_id,
    case id_type when 'patient' then from_id end as patient_id,
    cast(null as varchar) as bed_id,
    cast(null as varchar) as event_id,
    cast(null as timestamp) as found_at
from {{ ref('int_bed_survivors') }}
where is_cycle
union all
select
    kind,
    case
        when kind = 'unplaceable_event' then 'The event lacks its hospital, encounter or time, or its trigger is unknown.'
        when withheld = 'not_null_patient_id' then 'The event names no patient: it counts for nothing.'
        when withheld = 'not_null_visit' then 'The message has no visit (PV1), which its trigger needs: it counts for nothing.'
        when withheld = 'not_a_time' then 'When it happened or was recorded is no time: the event counts for nothing.'
        when withheld = 'future_timestamp' then 'It lies more than a day behind its own receipt: the event counts for nothing.'
        when withheld = 'timestamp_1900' then 'It lies before the systems that sent it: the event counts for nothing.'
    end as reason,
    hospital_id,
    encounter_id,
    patient_id,
    bed_id,
    event_id,
    occurred_at as found_at
from recent_events
where kind in ('unplaceable_event', 'withheld_event')
union all
select
    'update_names_other_bed' as kind,
    'An update (A08) names another place than the one in which the patient is. It is no transfer.' as reason,
    stays.hospital_id,
    stays.encounter_id,
    stays.surviving_patient_id as patient_id,
    updates.bed_id,
    updates.event_id,
    updates.occurred_at as found_at
from updates
inner join current_events as stays
    on updates.hospital_id = stays.hospital_id
    and updates.encounter_id = stays.encounter_id
    and updates.occurred_at >= stays.valid_from
    and (stays.valid_to is null or updates.occurred_at < stays.valid_to)
where stays.bed_state is not null
    and (
        updates.department_id <> stays.department_id
        or updates.room_id <> stays.room_id
        or updates.bed_id <> coalesce(stays.bed_id, '')
    )
