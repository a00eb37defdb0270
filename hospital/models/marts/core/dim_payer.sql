-- One row per payer as it is now, and the unknown member.

select
    {{ surrogate_key(['payer_id']) }} as payer_key,
    payer_id,
    payer_name,
    payer_type
from {{ ref('stg_hospital__payers') }}
union all
select
    {{ unknown_key() }} as payer_key,
    'unknown' as payer_id,
    'unknown' as payer_name,
    'unknown' as payer_type
