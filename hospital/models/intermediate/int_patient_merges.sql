-- Which record a merged patient's record lives on in (A40), through up to three merges. A record that would come back to
-- itself, or a longer chain, is left as it is and flagged: a wrong merge mixes two people, a missing one only hides a history.

with merges as (

    select patient_id, merged_into_patient_id
    from {{ ref('stg_hospital__adt') }}
    where event_type = 'A40'
        and patient_id is not null
        and merged_into_patient_id is not null
        and patient_id <> merged_into_patient_id
    qualify row_number() over (
        partition by patient_id
        order by recorded_at desc nulls last, occurred_at desc nulls last, event_id desc
    ) = 1

),

hops as (

    select
        first_merge.patient_id,
        first_merge.merged_into_patient_id as first_survivor_id,
        second_merge.merged_into_patient_id as second_survivor_id,
        third_merge.merged_into_patient_id as third_survivor_id,
        fourth_merge.merged_into_patient_id as fourth_survivor_id
    from merges as first_merge
    left join merges as second_merge on first_merge.merged_into_patient_id = second_merge.patient_id
    left join merges as third_merge on second_merge.merged_into_patient_id = third_merge.patient_id
    left join merges as fourth_merge on third_merge.merged_into_patient_id = fourth_merge.patient_id

)

select
    patient_id,
    case
        when fourth_survivor_id is not null then patient_id
        else coalesce(third_survivor_id, second_survivor_id, first_survivor_id)
    end as master_patient_id,
    fourth_survivor_id is not null as is_unresolved
from hops
