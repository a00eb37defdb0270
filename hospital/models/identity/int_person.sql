-- Which person each patient record belongs to: records that links connect, directly or through others, are one person, who is
-- called by the smallest of their ids. The recursion keeps each pair of record and reachable record once (`union`), so it ends
-- whatever circles the links make.

with recursive edges as (

    select patient_id_a as patient_id, patient_id_b as linked_patient_id
    from {{ ref('int_identity_links') }}
    union all
    select patient_id_b as patient_id, patient_id_a as linked_patient_id
    from {{ ref('int_identity_links') }}

),

reachable as (

    select patient_id, linked_patient_id
    from edges
    union
    select reachable.patient_id, edges.linked_patient_id
    from reachable
    inner join edges on reachable.linked_patient_id = edges.patient_id

),

-- A record that a merge names but no extract holds is a record too: events and facts point at it.
records as (

    select patient_id from {{ ref('stg_hospital__patients') }}
    union
    select patient_id from edges

),

persons as (

    select
        records.patient_id,
        least(records.patient_id, coalesce(min(reachable.linked_patient_id), records.patient_id)) as person_id
    from records
    left join reachable on records.patient_id = reachable.patient_id
    group by records.patient_id

),

contradicted as (

    select distinct one.person_id
    from {{ ref('int_identity_decisions') }} as decisions
    inner join persons as one on decisions.patient_id_a = one.patient_id
    inner join persons as other on decisions.patient_id_b = other.patient_id
    where decisions.decision = 'distinct'
        and one.person_id = other.person_id

)

select
    persons.patient_id,
    persons.person_id,
    cast(count(*) over (partition by persons.person_id) as bigint) as record_count,
    contradicted.person_id is not null as is_contradicted
from persons
left join contradicted on persons.person_id = contradicted.person_id
