-- One row per hospital as it is now, and the unknown member.

select
    {{ surrogate_key(['hospital_id']) }} as hospital_key,
    hospital_id,
    hospital_name,
    city,
    state,
    time_zone,
    hospital_type,
    bed_count,
    opened_date
from {{ ref('stg_hospital__hospitals') }}
union all
select
    {{ unknown_key() }} as hospital_key,
    'unknown' as hospital_id,
    'unknown' as hospital_name,
    cast(null as varchar) as city,
    cast(null as varchar) as state,
    cast(null as varchar) as time_zone,
    cast(null as varchar) as hospital_type,
    cast(null as integer) as bed_count,
    cast(null as date) as opened_date
