-- One row per stay, with the versions of its patient and department on the day of admission.

with stays as (

    select *, cast(admission_at as date) as admission_date
    from {{ ref('silver_events') }}

)

select
    stays.event_id,
    patients.patient_sk,
    departments.department_sk,
    stays.hospital_id, stays.department_id, stays.bed_id,
    stays.gender, stays.age,
    stays.admission_at, stays.discharge_at, stays.admission_date,
    (date_part('epoch', stays.discharge_at) - date_part('epoch', stays.admission_at)) / 3600.0 as length_of_stay_hours,
    stays.discharge_at is null as is_currently_admitted
from stays
join {{ ref('dim_patient') }} as patients
    on stays.patient_id = patients.patient_id
    and stays.admission_date >= patients.valid_from
    and (patients.valid_to is null or stays.admission_date < patients.valid_to)
join {{ ref('dim_department') }} as departments
    on stays.hospital_id = departments.hospital_id
    and stays.department_id = departments.department_id
    and stays.admission_date >= departments.valid_from
    and (departments.valid_to is null or stays.admission_date < departments.valid_to)
