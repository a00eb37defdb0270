-- Who is where now, by what is believed now: one row per encounter that is present. Gender and age come with the event where it has
-- them, else from the patient's record. A patient on leave is present in a held bed.

with present as (

    select current_stays.*, clock.as_of_at, clock.as_of_date
    from {{ ref('int_bed_current') }} as current_stays
    cross join {{ ref('int_live_clock') }} as clock
    where current_stays.bed_state is not null
        and current_stays.valid_from <= clock.as_of_at
        and (current_stays.valid_to is null or current_stays.valid_to > clock.as_of_at)

),

known as (

    select
        present.*,
        coalesce(survivors.survivor_id, present.patient_id) as surviving_patient_id,
        coalesce(present.department_id, beds.department_id) as at_department_id,
        coalesce(beds.bed_type, 'unknown') as bed_type
    from present
    left join {{ ref('int_bed_survivors') }} as survivors
        on present.hospital_id = survivors.hospital_id
        and present.patient_id = survivors.from_id
        and survivors.id_type = 'patient'
    left join {{ ref('stg_hospital__beds') }} as beds
        on present.hospital_id = beds.hospital_id
        and present.bed_id = beds.bed_id

)

select
    -- ids
    known.hospital_id,
    known.encounter_id,
    known.patient_id,
    known.surviving_patient_id,
    coalesce(known.at_department_id, 'unknown') as department_id,
    known.room_id,
    known.bed_id,
    -- text
    known.bed_state,
    known.bed_type,
    coalesce(departments.department_type, 'unknown') as department_type,
    coalesce(nullif(known.gender, ''), patients.gender, 'unknown') as gender,
    {{ age_band("coalesce(known.age_years, " ~ age_years('patients.date_of_birth', 'known.as_of_date') ~ ")") }} as age_band,
    -- flags
    coalesce(known.bed_type = 'cot' and coalesce(departments.department_type, 'unknown') <> 'emergency', false) as is_cot,
    -- instants
    known.valid_from as since_at,
    known.as_of_at
from known
left join {{ ref('dim_department') }} as departments
    on known.at_department_id = departments.department_id
    and departments.is_current
left join {{ ref('dim_patient') }} as patients
    on known.surviving_patient_id = patients.patient_id
    and patients.is_current
