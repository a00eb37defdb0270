-- One row per planned shift of a member of staff.

select
    attendance.attendance_id,
    coalesce(staff.staff_key, {{ unknown_key() }}) as staff_key,
    coalesce(departments.department_key, {{ unknown_key() }}) as department_key,
    coalesce(hospitals.hospital_key, {{ unknown_key() }}) as hospital_key,
    attendance.employee_id as staff_id,
    attendance.hospital_id,
    attendance.department_id,
    attendance.shift_type,
    attendance.status,
    {{ minutes_between('attendance.scheduled_start_at', 'attendance.scheduled_end_at') }} as scheduled_minutes,
    case
        when attendance.clock_out_at >= attendance.clock_in_at
        then {{ minutes_between('attendance.clock_in_at', 'attendance.clock_out_at') }}
    end as worked_minutes,
    case
        when attendance.clock_in_at > attendance.scheduled_start_at
        then {{ minutes_between('attendance.scheduled_start_at', 'attendance.clock_in_at') }}
        when attendance.clock_in_at is not null then 0.0
    end as late_minutes,
    coalesce(attendance.status = 'absent', false) as is_absent,
    coalesce(attendance.status = 'late', false) as is_late,
    coalesce(attendance.clock_out_at < attendance.clock_in_at, false) as is_impossible_clock,
    coalesce(
        attendance.status <> 'absent' and attendance.clock_in_at is not null and attendance.clock_out_at is null
        and attendance.shift_date < clock.as_of_date
        and attendance.scheduled_end_at < clock.as_of_at,
        false
    ) as is_clock_out_missing,
    attendance.scheduled_start_at,
    attendance.scheduled_end_at,
    attendance.clock_in_at,
    attendance.clock_out_at,
    attendance.shift_date,
    attendance.source_file,
    attendance.source_position
from {{ ref('stg_hospital__attendance') }} as attendance
cross join {{ ref('int_clock') }} as clock
left join {{ ref('dim_staff') }} as staff on attendance.employee_id = staff.staff_id
left join {{ ref('dim_department') }} as departments
    on attendance.department_id = departments.department_id
    and {{ held_at('departments', 'attendance.scheduled_start_at') }}
left join {{ ref('dim_hospital') }} as hospitals on attendance.hospital_id = hospitals.hospital_id
