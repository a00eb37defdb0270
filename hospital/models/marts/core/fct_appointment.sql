-- One row per appointment. Keys point at the versions that held at the scheduled time.

select
    appointments.appointment_id,
    coalesce(patients.patient_key, {{ unknown_key() }}) as patient_key,
    coalesce(departments.department_key, {{ unknown_key() }}) as department_key,
    coalesce(hospitals.hospital_key, {{ unknown_key() }}) as hospital_key,
    coalesce(staff.staff_key, {{ unknown_key() }}) as physician_staff_key,
    appointments.patient_id,
    appointments.hospital_id,
    appointments.department_id,
    appointments.physician_id,
    appointments.appointment_type,
    appointments.status,
    appointments.duration_minutes,
    case
        when appointments.scheduled_date >= appointments.booked_date
        then {{ dbt.datediff('appointments.booked_date', 'appointments.scheduled_date', 'day') }}
    end as lead_days,
    {{ minutes_between('appointments.scheduled_at', 'appointments.checked_in_at') }} as minutes_late,
    coalesce(appointments.scheduled_at <= clock.as_of_at, false) as is_due,
    coalesce(appointments.status = 'attended' and appointments.scheduled_at <= clock.as_of_at, false) as is_attended,
    coalesce(appointments.status = 'no_show' and appointments.scheduled_at <= clock.as_of_at, false) as is_no_show,
    coalesce(appointments.status = 'cancelled', false) as is_cancelled,
    coalesce(appointments.booked_at > appointments.scheduled_at, false) as is_impossible_booking,
    coalesce(appointments.follow_up_date < appointments.scheduled_date, false) as is_impossible_follow_up,
    appointments.booked_at,
    appointments.scheduled_at,
    appointments.checked_in_at,
    appointments.scheduled_date,
    appointments.follow_up_date,
    appointments.source_file,
    appointments.source_position
from {{ ref('stg_hospital__appointments') }} as appointments
cross join {{ ref('int_clock') }} as clock
left join {{ ref('dim_patient') }} as patients
    on appointments.patient_id = patients.patient_id
    and {{ held_at('patients', 'appointments.scheduled_at') }}
left join {{ ref('dim_department') }} as departments
    on appointments.department_id = departments.department_id
    and {{ held_at('departments', 'appointments.scheduled_at') }}
left join {{ ref('dim_hospital') }} as hospitals on appointments.hospital_id = hospitals.hospital_id
left join {{ ref('dim_staff') }} as staff on appointments.physician_id = staff.staff_id
