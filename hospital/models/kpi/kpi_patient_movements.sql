-- Admissions, discharges and transfers of inpatients, per department and day.

select
    hospital_id,
    department_id,
    department_name,
    census_date as movement_date,
    admissions,
    discharges,
    transfers_in,
    transfers_out
from {{ ref('mart_operational__daily_census') }}
where is_inpatient_department
