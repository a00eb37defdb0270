-- One row per dispensing, net of what came back to the pharmacy.

with dispensed as (

    select
        *,
        coalesce(quantity, 0) - coalesce(returned_quantity, 0) as net_quantity
    from {{ ref('stg_hospital__dispensed') }}

)

select
    dispensed.dispense_id,
    coalesce(patients.patient_key, {{ unknown_key() }}) as patient_key,
    coalesce(departments.department_key, {{ unknown_key() }}) as department_key,
    coalesce(hospitals.hospital_key, {{ unknown_key() }}) as hospital_key,
    coalesce(medications.medication_key, {{ unknown_key() }}) as medication_key,
    coalesce(staff.staff_key, {{ unknown_key() }}) as prescriber_staff_key,
    dispensed.encounter_id,
    dispensed.patient_id,
    dispensed.hospital_id,
    dispensed.department_id,
    dispensed.medication_id,
    dispensed.quantity,
    dispensed.returned_quantity,
    dispensed.net_quantity,
    cast(dispensed.net_quantity as double) * cast(medications.unit_cost as double) as net_cost,
    cast(dispensed.net_quantity as double) * medications.ddd_per_unit as net_ddd,
    coalesce(dispensed.returned_quantity > dispensed.quantity, false) as is_returned_above_dispensed,
    coalesce(dispensed.dispensed_date > clock.as_of_date, false) as is_after_now,
    dispensed.dispensed_at,
    dispensed.dispensed_date,
    dispensed.source_file,
    dispensed.source_position
from dispensed
cross join {{ ref('int_clock') }} as clock
left join {{ ref('dim_medication') }} as medications on dispensed.medication_id = medications.medication_id
left join {{ ref('dim_patient') }} as patients
    on dispensed.patient_id = patients.patient_id
    and {{ held_at('patients', 'dispensed.dispensed_at') }}
left join {{ ref('dim_department') }} as departments
    on dispensed.department_id = departments.department_id
    and {{ held_at('departments', 'dispensed.dispensed_at') }}
left join {{ ref('dim_hospital') }} as hospitals on dispensed.hospital_id = hospitals.hospital_id
left join {{ ref('dim_staff') }} as staff on dispensed.prescriber_id = staff.staff_id
