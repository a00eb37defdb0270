-- Every patient, once per appointment; patients without one appear once.
select
    patients.patient_id,
    patients.first_name,
    patients.last_name,
    patients.date_of_birth,
    patients.gender,
    patients.insurance_id,
    patients.primary_physician_id,
    patients.admission_date,
    patients.discharge_date,
    appointments.appointment_id,
    appointments.physician_id,
    appointments.hospital_id,
    appointments.appointment_date,
    appointments.reason_for_visit,
    appointments.diagnosis,
    appointments.status as appointment_status,
    appointments.billing_amount,
    appointments.copay_amount
from {{ ref('stg_hms__patients') }} as patients
left join {{ ref('stg_hms__appointments') }} as appointments on patients.patient_id = appointments.patient_id
