-- Everyone in the emergency department now, and what they wait for.

select
    flow.encounter_id,
    flow.patient_id,
    patients.mrn,
    patients.first_name,
    patients.last_name,
    flow.hospital_id,
    flow.triage_level,
    case
        when flow.admit_decision_at is not null then 'bed'
        when flow.provider_seen_at is not null then 'decision'
        when flow.triaged_at is not null then 'provider'
        else 'triage'
    end as waits_for,
    {{ minutes_between('flow.arrived_at', 'clock.as_of_at') }} as minutes_since_arrival,
    case when flow.admit_decision_at is not null then {{ minutes_between('flow.admit_decision_at', 'clock.as_of_at') }} end
        as minutes_boarding,
    flow.arrived_at
from {{ ref('fct_patient_flow') }} as flow
cross join {{ ref('int_clock') }} as clock
left join {{ ref('dim_patient') }} as patients on flow.patient_id = patients.patient_id and patients.is_current
where flow.is_in_ed
