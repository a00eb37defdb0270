-- Current patient records of persons who have several: matched by a rule or decided to be one, and not merged by their
-- hospital yet. What is only probable waits in list_identity_review.

with records as (

    select
        persons.person_id,
        patients.patient_id,
        patients.mrn,
        patients.first_name,
        patients.last_name,
        patients.hospital_id,
        patients.date_of_birth,
        count(*) over (partition by persons.person_id) as record_count
    from {{ ref('dim_patient') }} as patients
    inner join {{ ref('int_person') }} as persons on patients.patient_id = persons.patient_id
    where patients.is_current
        and patients.patient_id = patients.master_patient_id

)

select person_id, patient_id, mrn, first_name, last_name, hospital_id, date_of_birth, record_count
from records
where record_count > 1
