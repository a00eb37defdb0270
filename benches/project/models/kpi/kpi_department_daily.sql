-- Admissions of each department and day, the average stay of those discharged, and stays over 50 hours.

select
    hospital_id, department_id, admission_date,
    count(*) as admissions,
    count(length_of_stay_hours) as discharges,
    avg(length_of_stay_hours) as average_los_hours,
    count(*) filter (where length_of_stay_hours > 50) as overstays
from {{ ref('fct_patient_flow') }}
group by hospital_id, department_id, admission_date
