-- What cannot be true in the beds of encounters that are open or were lately: one row per finding, with its kind and the reason in
-- words. A finding is never a silent repair: the ledger shows what the events say.

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

    select *
    from current_events
    where bed_state in ('occupied', 'held')
        and bed_id is not null
        and (valid_to is null or valid_to > valid_from)

),

-- The stay in the same bed that ends last of those begun before: if it is not over, two patients have one bed.
shared_beds as (

    select
        *,
        max(coalesce(valid_to, timestamp '9999-12-31 00:00:00')) over (
            partition by hospital_id, bed_id order by valid_from, encounter_id
            rows between unbounded preceding and 1 preceding
        ) as bed_taken_until,
        lag(encounter_id) over (partition by hospital_id, bed_id order by valid_from, encounter_id) as before_encounter_id
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

unplaceable as (

    select events.*
    from {{ ref('int_bed_events') }} as events
    left join {{ ref('int_adt_triggers') }} as triggers on events.event_type = triggers.event_type
    cross join {{ ref('int_live_clock') }} as clock
    where events.known_at >= {{ dbt.dateadd('day', -1 * var('live_keep_days'), 'clock.newest_event_at') }}
        and (
            triggers.event_type is null
            or events.hospital_id is null
            or events.occurred_at is null
            or (triggers.role not in ('none', 'merge') and events.encounter_id is null)
        )

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
    'unplaceable_event' as kind,
    'The event lacks its hospital, encounter or time, or its trigger is unknown.' as reason,
    hospital_id,
    encounter_id,
    patient_id,
    bed_id,
    event_id,
    occurred_at as found_at
from unplaceable
