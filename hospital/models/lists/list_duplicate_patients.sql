-- Current patient records that look like one person: same date of birth, same postal code, same name but for case and blanks.
-- A candidate for a merge, never merged by itself.

with people as (

    select
        patient_id,
        mrn,
        first_name,
        last_name,
        hospital_id,
        date_of_birth,
        {{ surrogate_key([
            "lower(replace(first_name, ' ', ''))", "lower(replace(last_name, ' ', ''))",
            'cast(date_of_birth as varchar)', 'postal_code'
        ]) }} as person_key
    from {{ ref('dim_patient') }}
    where is_current
        and patient_id = master_patient_id
        and first_name is not null
        and last_name is not null
        and date_of_birth is not null

),

counted as (

    select *, count(*) over (partition by person_key) as record_count
    from people

)

select person_key, patient_id, mrn, first_name, last_name, hospital_id, date_of_birth, record_count
from counted
where record_count > 1
