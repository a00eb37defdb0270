-- Instantaneous occupancy of each inpatient department at every full hour.

select
    hospital_id,
    department_id,
    department_name,
    department_type,
    hour_at,
    hour_local_at,
    patients_in_bed,
    inpatients_in_bed,
    staffed_beds,
    {{ ratio('patients_in_bed', 'staffed_beds') }} as occupancy_rate,
    {{ ratio('inpatients_in_bed', 'staffed_beds') }} as inpatient_occupancy_rate
from {{ ref('mart_operational__hourly_census') }}
