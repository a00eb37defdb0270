-- One row per encounter, corrected by the cancel events and judged: what is impossible is flagged and kept, and its
-- durations are NULL, so that no average is taken over it.

with corrected as (

    select
        encounters.*,
        coalesce(corrections.is_admission_cancelled, false) as is_admission_cancelled,
        -- A discharge that was cancelled after the encounter was last written is not true any more.
        coalesce(
            encounters.discharged_at is not null
            and corrections.discharge_cancelled_at > encounters.updated_at,
            false
        ) as is_discharge_cancelled,
        clock.as_of_at,
        clock.as_of_date
    from {{ ref('stg_hospital__encounters') }} as encounters
    left join {{ ref('int_encounter_corrections') }} as corrections
        on encounters.encounter_id = corrections.encounter_id
    cross join {{ ref('int_clock') }} as clock

),

as_of_now as (

    select
        *,
        coalesce(admitted_at, arrived_at) as stay_started_at,
        coalesce(admitted_date, arrived_date) as stay_start_date,
        case when not is_discharge_cancelled and discharged_at <= as_of_at then discharged_at end as left_at,
        case when not is_discharge_cancelled and discharged_at <= as_of_at then discharged_date end as left_date,
        -- A patient of the emergency department, admitted from there or not.
        (encounter_class = 'emergency' or triaged_at is not null or departed_ed_at is not null) as is_ed_visit,
        -- Admission decided, still in the emergency department without a bed: a boarder is no inpatient yet.
        triaged_at is not null and admitted_at is null and departed_ed_at is null and discharged_at is null
            as is_admission_pending,
        coalesce(discharged_at < coalesce(admitted_at, arrived_at), false) as is_impossible_stay,
        coalesce(triaged_at < arrived_at, false)
            or coalesce(provider_seen_at < arrived_at, false)
            or coalesce(admit_decision_at < arrived_at, false)
            or coalesce(departed_ed_at < arrived_at, false)
            or coalesce(departed_ed_at < admit_decision_at, false) as is_impossible_ed_time,
        coalesce(coalesce(admitted_at, arrived_at) > as_of_at, false) as is_after_now
    from corrected

),

judged as (

    select
        *,
        coalesce(encounter_class in ('inpatient', 'observation') and not is_admission_cancelled and not is_admission_pending, false)
            as is_bed_stay,
        coalesce(encounter_class = 'inpatient' and not is_admission_cancelled and not is_admission_pending, false) as is_inpatient,
        case
            when encounter_class = 'emergency' then coalesce(departed_ed_at, left_at)
            else departed_ed_at
        end as ed_departed_at,
        -- An hour that the clock shows twice leaves it open how long anything lasted.
        is_ed_visit and not has_ambiguous_time as is_timed,
        -- Counted in censuses, lengths of stay and rates.
        stay_started_at is not null and not is_impossible_stay and not is_after_now as is_counted
    from as_of_now

)

select
    -- ids
    encounter_id,
    patient_id,
    hospital_id,
    department_id,
    attending_physician_id,
    -- text
    encounter_class,
    admission_type,
    discharge_disposition,
    diagnosis_code,
    diagnosis_text,
    -- numerics
    triage_level,
    case
        when is_counted and left_at is not null
        then cast(greatest(1, {{ dbt.datediff('stay_start_date', 'left_date', 'day') }}) as integer)
    end as los_days,
    case when is_counted and left_at is not null and not has_ambiguous_time
        then {{ minutes_between('stay_started_at', 'left_at') }} / 60.0 end as los_hours,
    case when is_timed and triaged_at >= arrived_at then {{ minutes_between('arrived_at', 'triaged_at') }} end
        as arrival_to_triage_minutes,
    case when is_timed and provider_seen_at >= arrived_at then {{ minutes_between('arrived_at', 'provider_seen_at') }} end
        as arrival_to_provider_minutes,
    case when is_timed and provider_seen_at >= triaged_at and triaged_at >= arrived_at
        then {{ minutes_between('triaged_at', 'provider_seen_at') }} end as triage_to_provider_minutes,
    case when is_timed and ed_departed_at >= provider_seen_at and provider_seen_at >= arrived_at
        then {{ minutes_between('provider_seen_at', 'ed_departed_at') }} end as provider_to_departure_minutes,
    case when is_timed and ed_departed_at >= arrived_at then {{ minutes_between('arrived_at', 'ed_departed_at') }} end
        as ed_los_minutes,
    case when is_timed and departed_ed_at >= admit_decision_at and admit_decision_at >= arrived_at
        then {{ minutes_between('admit_decision_at', 'departed_ed_at') }} end as boarding_minutes,
    -- flags
    is_ed_visit,
    is_inpatient,
    is_bed_stay,
    is_counted,
    is_admission_cancelled,
    is_admission_pending,
    is_discharge_cancelled,
    is_impossible_stay,
    is_impossible_ed_time,
    is_after_now,
    has_ambiguous_time,
    is_bed_stay and is_counted and left_at is null as is_in_hospital,
    is_ed_visit and is_counted and arrived_at <= as_of_at and left_at is null
        and (ed_departed_at is null or ed_departed_at > as_of_at) as is_in_ed,
    coalesce(discharge_disposition = 'lwbs', false) as is_left_without_being_seen,
    -- instants, local times and dates
    arrived_at,
    triaged_at,
    provider_seen_at,
    admit_decision_at,
    departed_ed_at,
    ed_departed_at,
    admitted_at,
    stay_started_at,
    left_at,
    updated_at,
    arrived_local_at,
    discharged_local_at,
    arrived_date,
    stay_start_date,
    left_date,
    expected_discharge_date,
    -- lineage
    source_file,
    source_position
from judged
