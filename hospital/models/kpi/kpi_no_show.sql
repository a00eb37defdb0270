-- Appointments to which the patient did not come, per department and month of the appointment.

select
    appointments.hospital_id,
    appointments.department_id,
    departments.department_name,
    {{ month_of('appointments.scheduled_date') }} as scheduled_month,
    count(*) filter (where appointments.is_no_show) as no_shows,
    count(*) filter (where appointments.is_attended) as attended,
    count(*) filter (where appointments.is_no_show or appointments.is_attended) as kept_or_missed,
    {{ ratio(
        'count(*) filter (where appointments.is_no_show)',
        'count(*) filter (where appointments.is_no_show or appointments.is_attended)'
    ) }} as no_show_rate
from {{ ref('fct_appointment') }} as appointments
left join {{ ref('dim_department') }} as departments
    on appointments.department_id = departments.department_id
    and departments.is_current
where appointments.is_due
    and not appointments.is_cancelled
group by
    appointments.hospital_id,
    appointments.department_id,
    departments.department_name,
    {{ month_of('appointments.scheduled_date') }}
