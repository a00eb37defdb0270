-- Pairs of records for a person to look at, the most probable first: probable duplicates without a decision, and pairs that
-- were decided to be two persons although other links still make them one.
{{ config(schema='gold', materialized='view', tags=['list']) }}

with probable as (

    select scores.patient_id_a, scores.patient_id_b, 'probable' as kind, scores.score, scores.reasons
    from {{ ref('int_identity_scores') }} as scores
    inner join {{ ref('int_person') }} as one on scores.patient_id_a = one.patient_id
    inner join {{ ref('int_person') }} as other on scores.patient_id_b = other.patient_id
    left join {{ ref('int_identity_decisions') }} as decisions
        on scores.patient_id_a = decisions.patient_id_a
        and scores.patient_id_b = decisions.patient_id_b
    where scores.score >= {{ var('identity_review_score') }}
        and one.person_id <> other.person_id
        and decisions.decision is null

),

contradicted as (

    select
        decisions.patient_id_a,
        decisions.patient_id_b,
        'contradicted' as kind,
        cast(1 as double) as score,
        'decided to be two persons, but links through other records make them one' as reasons
    from {{ ref('int_identity_decisions') }} as decisions
    inner join {{ ref('int_person') }} as one on decisions.patient_id_a = one.patient_id
    inner join {{ ref('int_person') }} as other on decisions.patient_id_b = other.patient_id
    where decisions.decision = 'distinct'
        and one.person_id = other.person_id

),

pairs as (

    select * from probable
    union all
    select * from contradicted

)

select
    pairs.patient_id_a,
    pairs.patient_id_b,
    pairs.kind,
    pairs.score,
    pairs.reasons,
    one.hospital_id as hospital_id_a,
    other.hospital_id as hospital_id_b,
    one.mrn as mrn_a,
    other.mrn as mrn_b,
    one.first_name as first_name_a,
    other.first_name as first_name_b,
    one.last_name as last_name_a,
    other.last_name as last_name_b,
    one.date_of_birth as date_of_birth_a,
    other.date_of_birth as date_of_birth_b
from pairs
left join {{ ref('stg_hospital__patients') }} as one on pairs.patient_id_a = one.patient_id
left join {{ ref('stg_hospital__patients') }} as other on pairs.patient_id_b = other.patient_id
