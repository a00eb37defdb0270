-- One row per stay in one bed, by what is believed of the stream now: what mart_operational__reconciliation compares with the stays of
-- the extracts. One stay is as long as the bed stays the same: leaves and changes of class do not cut it. A table, for it is compared
-- several times over.

{{ config(materialized='table') }}

with segments as (

    select
        *,
        lag(bed_id) over (partition by hospital_id, encounter_id order by valid_from) as before_bed_id,
        lag(valid_to) over (partition by hospital_id, encounter_id order by valid_from) as before_valid_to
    from {{ ref('fct_bed_movement') }}
    where recorded_to is null
        and bed_id is not null
        and (valid_to is null or valid_to > valid_from)

),

numbered as (

    select
        *,
        sum(case when before_bed_id = bed_id and before_valid_to = valid_from then 0 else 1 end) over (
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
