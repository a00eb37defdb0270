{{ config(severity='warn') }}
-- A follow-up comes after the appointment it follows.
select appointment_id, appointment_date, follow_up_date
from {{ ref('stg_hms__appointments') }}
where follow_up_date < appointment_date
