-- One row per visit to the emergency department with its waits in minutes. A wait is NULL where one of its two times is missing or
-- impossible; `is_impossible_ed_time` says so.

select
    flow.encounter_id,
    flow.patient_key,
    flow.department_key,
    flow.hospital_id,
    hospitals.hospital_name,
    flow.age_band,
    flow.encounter_class,
    flow.discharge_disposition,
    flow.triage_level,
    flow.arrival_to_triage_minutes,
    flow.triage_to_provider_minutes,
    flow.arrival_to_provider_minutes,
    flow.provider_to_departure_minutes,
    flow.ed_los_minutes,
    flow.boarding_minutes,
    flow.is_left_without_being_seen,
    flow.admit_decision_at is not null as is_admission_decided,
    flow.is_in_ed,
    flow.is_impossible_ed_time,
    flow.arrived_at,
    flow.arrival_date
from {{ ref('fct_patient_flow') }} as flow
inner join {{ ref('dim_hospital') }} as hospitals on flow.hospital_key = hospitals.hospital_key
where flow.is_ed_visit
    and not flow.is_after_now
    and flow.arrived_at is not null
