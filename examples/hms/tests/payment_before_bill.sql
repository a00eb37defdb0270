{{ config(severity='warn') }}
-- Nobody pays a bill that was not yet written.
select billing_id, billing_date, payment_date
from {{ ref('stg_hms__billing') }}
where payment_date < billing_date
