-- Midnight occupancy of each inpatient department and day that is over.

select
    hospital_id,
    department_id,
    department_name,
    department_type,
    census_date,
    patients_at_midnight,
    inpatients_at_midnight,
    daily_census,
    staffed_beds,
    {{ ratio('inpatients_at_midnight', 'staffed_beds') }} as inpatient_occupancy_rate,
    {{ ratio('patients_at_midnight', 'staffed_beds') }} as occupancy_rate
from {{ ref('mart_operational__daily_census') }}
where is_inpatient_department
