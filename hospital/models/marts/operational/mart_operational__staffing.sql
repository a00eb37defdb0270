-- One row per department, day and kind of shift: planned and worked shifts.

select
    attendance.department_key,
    attendance.department_id,
    attendance.hospital_id,
    departments.department_name,
    attendance.shift_date,
    attendance.shift_type,
    count(*) as planned_shifts,
    count(*) filter (where not attendance.is_absent) as worked_shifts,
    count(*) filter (where attendance.is_absent) as absent_shifts,
    count(*) filter (where attendance.is_late) as late_shifts,
    sum(attendance.scheduled_minutes) as scheduled_minutes,
    sum(attendance.worked_minutes) as worked_minutes,
    {{ ratio('count(*) filter (where attendance.is_absent)', 'count(*)') }} as absence_rate
from {{ ref('fct_attendance') }} as attendance
inner join {{ ref('dim_department') }} as departments on attendance.department_key = departments.department_key
group by
    attendance.department_key,
    attendance.department_id,
    attendance.hospital_id,
    departments.department_name,
    attendance.shift_date,
    attendance.shift_type
