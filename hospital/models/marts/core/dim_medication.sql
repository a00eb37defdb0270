-- One row per medication of the formulary as it is now, and the unknown member. `ddd_per_unit` is how many defined daily
-- doses (WHO) one unit holds, where the units of strength and DDD can be converted.

select
    {{ surrogate_key(['medication_id']) }} as medication_key,
    medication_id,
    atc_code,
    medication_name,
    route,
    strength_unit,
    ddd_unit,
    strength,
    ddd,
    unit_cost,
    case
        when ddd > 0 and strength_unit = ddd_unit then cast(strength as double) / cast(ddd as double)
        when ddd > 0 then cast(strength as double) * {{ milligrams('strength_unit') }}
            / (cast(ddd as double) * {{ milligrams('ddd_unit') }})
    end as ddd_per_unit
from {{ ref('stg_hospital__medications') }}
union all
select
    {{ unknown_key() }} as medication_key,
    'unknown' as medication_id,
    cast(null as varchar) as atc_code,
    'unknown' as medication_name,
    cast(null as varchar) as route,
    cast(null as varchar) as strength_unit,
    cast(null as varchar) as ddd_unit,
    cast(null as decimal(18,4)) as strength,
    cast(null as decimal(18,4)) as ddd,
    cast(null as decimal(18,4)) as unit_cost,
    cast(null as double) as ddd_per_unit
