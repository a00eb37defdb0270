-- One row per encounter, from arrival to departure. Keys point at the version of the patient and department that held on arrival.
-- Impossible and cancelled encounters stay in, flagged; their durations are NULL.

select
    -- keys
    encounters.encounter_id,
    coalesce(patients.patient_key, {{ unknown_key() }}) as patient_key,
    coalesce(departments.department_key, {{ unknown_key() }}) as department_key,
    coalesce(hospitals.hospital_key, {{ unknown_key() }}) as hospital_key,
    coalesce(staff.staff_key, {{ unknown_key() }}) as attending_staff_key,
    encounters.patient_id,
    encounters.hospital_id,
    encounters.department_id,
    -- text
    encounters.encounter_class,
    encounters.admission_type,
    encounters.discharge_disposition,
    encounters.diagnosis_code,
    encounters.diagnosis_text,
    {{ age_band(age_years('patients.date_of_birth', 'encounters.arrived_date')) }} as age_band,
    -- numerics
    encounters.triage_level,
    {{ age_years('patients.date_of_birth', 'encounters.arrived_date') }} as age_years,
    encounters.los_days,
    encounters.los_hours,
    encounters.arrival_to_triage_minutes,
    encounters.arrival_to_provider_minutes,
    encounters.triage_to_provider_minutes,
    encounters.provider_to_departure_minutes,
    encounters.ed_los_minutes,
    encounters.boarding_minutes,
    cast(extract(hour from encounters.arrived_local_at) as integer) * 60
        + cast(extract(minute from encounters.arrived_local_at) as integer) as arrival_time_key,
    cast(extract(hour from encounters.discharged_local_at) as integer) * 60
        + cast(extract(minute from encounters.discharged_local_at) as integer) as discharge_time_key,
    -- flags
    encounters.is_ed_visit,
    encounters.is_inpatient,
    encounters.is_bed_stay,
    encounters.is_counted,
    encounters.is_in_hospital,
    encounters.is_in_ed,
    encounters.is_left_without_being_seen,
    encounters.is_admission_cancelled,
    encounters.is_admission_pending,
    encounters.is_discharge_cancelled,
    encounters.is_impossible_stay,
    encounters.is_impossible_ed_time,
    encounters.is_after_now,
    encounters.has_ambiguous_time,
    -- Still in, or left, after the expected day; NULL where no day was expected or the stay is not counted.
    case
        when encounters.is_inpatient and encounters.is_counted and encounters.expected_discharge_date is not null
        then coalesce(encounters.left_date, clock.as_of_date) > encounters.expected_discharge_date
    end as is_overstay,
    -- A live discharge of an inpatient before 12:00 local; NULL where there was no such discharge.
    case
        when encounters.is_inpatient and encounters.is_counted and encounters.left_at is not null
            and coalesce(encounters.discharge_disposition, 'unknown') <> 'died'
        then extract(hour from encounters.discharged_local_at) < 12
    end as is_discharged_before_noon,
    -- instants and dates
    encounters.arrived_at,
    encounters.triaged_at,
    encounters.provider_seen_at,
    encounters.admit_decision_at,
    encounters.departed_ed_at,
    encounters.admitted_at,
    encounters.stay_started_at,
    encounters.left_at as discharged_at,
    encounters.arrived_date as arrival_date,
    encounters.stay_start_date as admission_date,
    encounters.left_date as discharge_date,
    encounters.expected_discharge_date,
    -- lineage
    encounters.source_file,
    encounters.source_position
from {{ ref('int_encounters') }} as encounters
cross join {{ ref('int_clock') }} as clock
left join {{ ref('dim_patient') }} as patients
    on encounters.patient_id = patients.patient_id
    and {{ held_at('patients', 'encounters.arrived_at') }}
left join {{ ref('dim_department') }} as departments
    on encounters.department_id = departments.department_id
    and {{ held_at('departments', 'encounters.arrived_at') }}
left join {{ ref('dim_hospital') }} as hospitals on encounters.hospital_id = hospitals.hospital_id
left join {{ ref('dim_staff') }} as staff on encounters.attending_physician_id = staff.staff_id
