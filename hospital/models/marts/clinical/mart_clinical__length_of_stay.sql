-- One row per discharged inpatient stay with its length, department and diagnosis.

select
    flow.encounter_id,
    flow.patient_key,
    flow.hospital_id,
    departments.admitting_department_id,
    departments.discharging_department_id,
    flow.admission_type,
    flow.discharge_disposition,
    flow.diagnosis_code,
    flow.diagnosis_text,
    flow.age_band,
    flow.los_days,
    flow.los_hours,
    flow.is_overstay,
    flow.is_discharged_before_noon,
    flow.admission_date,
    flow.discharge_date,
    {{ month_of('flow.discharge_date') }} as discharge_month
from {{ ref('fct_patient_flow') }} as flow
inner join {{ ref('int_encounter_departments') }} as departments on flow.encounter_id = departments.encounter_id
where flow.is_inpatient
    and flow.is_counted
    and flow.discharge_date is not null
