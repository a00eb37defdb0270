{{ config(severity='warn') }}
-- final_amount is amount − discount + tax, to the cent.
select billing_id, amount, discount, tax, final_amount
from {{ ref('stg_hms__billing') }}
where amount - discount + tax <> final_amount
