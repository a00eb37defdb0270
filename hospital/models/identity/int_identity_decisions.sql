-- What people decided about pairs of records and still stands: the newest decision, if it is a merge; otherwise `distinct`, if
-- that was ever decided. An unmerge so restores what stood before the merge it takes back, and a pair without a standing
-- decision has no row. An engine without the table of decisions knows none.

{% set decisions = source('system', 'identity_decisions') %}

with decided as (

    {% if load_relation(decisions) is none -%}
    select
        cast(null as varchar) as decision_id,
        cast(null as timestamp) as decided_at,
        cast(null as varchar) as decision,
        cast(null as varchar) as patient_id_a,
        cast(null as varchar) as patient_id_b
    where 1 = 0
    {%- else -%}
    select
        decision_id,
        "at" as decided_at,
        decision,
        least(patient_id_a, patient_id_b) as patient_id_a,
        greatest(patient_id_a, patient_id_b) as patient_id_b
    from {{ decisions }}
    {%- endif %}

),

newest as (

    select
        *,
        row_number() over (
            partition by patient_id_a, patient_id_b
            order by decided_at desc, decision_id desc
        ) as age,
        max(case when decision = 'distinct' then 1 else 0 end) over (
            partition by patient_id_a, patient_id_b
        ) as was_parted
    from decided

)

select
    patient_id_a,
    patient_id_b,
    case when decision = 'merge' then 'merge' else 'distinct' end as decision
from newest
where age = 1
    and (decision = 'merge' or was_parted = 1)
