-- One row per bed stay and midnight it lasted over, as the newest states of bed stays and encounters say, with nothing inferred:
-- whoever entered a bed and has not left it lies there, also where the encounter is withheld. Up to the newest extract's day,
-- which its midnight ends.

with stays as (

    select
        transfers.movement_id,
        transfers.encounter_id,
        transfers.hospital_id,
        bed_stays.department_id,
        transfers.started_date,
        {{ dbt.datediff(
            'transfers.started_date',
            'coalesce(transfers.ended_date, ' ~ add_days('clock.newest_extract_date', 1) ~ ')',
            'day'
        ) }} as midnights
    from {{ ref('stg_hospital__transfers') }} as transfers
    inner join {{ ref('int_bed_stays') }} as bed_stays on transfers.movement_id = bed_stays.movement_id
    cross join {{ ref('int_clock') }} as clock

)

select
    stays.movement_id,
    stays.encounter_id,
    stays.hospital_id,
    stays.department_id,
    -- Of a bed stay without its encounter nobody knows the class.
    case
        when encounters.encounter_id is null then 'unknown'
        when encounters.encounter_class = 'observation' then 'observation'
        when encounters.admission_type = 'newborn' then 'newborn'
        else 'inpatient'
    end as patient_class,
    {{ add_days('stays.started_date', 'days.day_offset') }} as night_date
from stays
inner join {{ ref('int_stay_days') }} as days
    on least(cast(stays.midnights as bigint), {{ var('max_stay_days') }}) = days.stay_days
left join {{ ref('stg_hospital__encounters') }} as encounters on stays.encounter_id = encounters.encounter_id
