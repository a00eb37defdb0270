-- One row per stay in one bed, by what is believed of the stream now: what mart_operational__reconciliation compares with the stays of
-- the extracts. One stay is as long as the bed stays the same: leaves and changes of class do not cut it. A table, for it is compared
-- several times over.

{{ config(materialized='table') }}

with in_beds as (

    select movements.*, {{ bed_key('movements', 'beds') }} as bed_key
    from {{ ref('fct_bed_movement') }} as movements
    left join {{ ref('stg_hospital__beds') }} as beds
        on movements.hospital_id = beds.hospital_id
        and movements.bed_id = beds.bed_id
    where movements.recorded_to is null
        and movements.bed_id is not null
        and (movements.valid_to is null or movements.valid_to > movements.valid_from)

),

segments as (

    select
        *,
        lag(bed_key) over (partition by hospital_id, encounter_id order by valid_from) as before_bed_key,
        lag(valid_to) over (partition by hospital_id, encounter_id order by valid_from) as before_valid_to
    from in_beds

),

numbered as (

    select
        *,
        sum(case when before_bed_key = bed_key and before_valid_to = valid_from then 0 else 1 end) over (
            partition by hospital_id, encounter_id order by valid_from
            rows between unbounded preceding and current row
        ) as stay_number
    from segments

)

select
    hospital_id,
    encounter_id,
    bed_id,
    row_number() over (partition by hospital_id, encounter_id, bed_id order by min(valid_from)) as bed_turn,
    min(valid_from) as started_at,
    case when count(*) = count(valid_to) then max(valid_to) end as ended_at,
    min(finding) as finding,
    max(recorded_from) as recorded_from
from numbered
group by hospital_id, encounter_id, bed_id, stay_number
