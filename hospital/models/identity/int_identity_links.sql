-- Pairs of records that are one person: decided so, merged by their hospital (A40 and its kin, in extracts or as it happened), or
-- matched by a rule. A rule matches an exact identifier whose holder agrees: the same national id or hospital record number, a given name
-- that is not another, and the birth date, or without one the family name. Twins and mothers with their newborns share numbers and stay
-- apart. A pair decided `distinct` is no link, whoever says otherwise.

with matched as (

    select
        patient_id_a,
        patient_id_b,
        case when national_id = 'equal' then 'national_id' else 'record_number' end as linked_by
    from {{ ref('int_identity_comparisons') }}
    where (national_id = 'equal' or (record_number = 'equal' and coalesce(national_id, 'similar') = 'similar'))
        and given_name in ('equal', 'similar', 'short', 'swapped')
        and (
            birth_date in ('equal', 'swapped', 'similar')
            or (birth_date is null and family_name in ('equal', 'similar', 'sound', 'swapped'))
        )

),

merged as (

    select
        least(patient_id, master_patient_id) as patient_id_a,
        greatest(patient_id, master_patient_id) as patient_id_b,
        'hospital' as linked_by
    from {{ ref('int_patient_merges') }}
    where not is_unresolved
        and patient_id <> master_patient_id
    union
    select
        least(from_id, survivor_id) as patient_id_a,
        greatest(from_id, survivor_id) as patient_id_b,
        'hospital' as linked_by
    from (
        {{ survivors("(select * from " ~ ref('int_bed_merges') ~ " where id_type = 'patient' and identity = 'merge')") | indent(8) }}
    ) as told
    where not is_cycle
        and from_id <> survivor_id

),

decided as (

    select patient_id_a, patient_id_b, 'decision' as linked_by
    from {{ ref('int_identity_decisions') }}
    where decision = 'merge'

),

linked as (

    select * from matched
    union all
    select * from merged
    union all
    select * from decided

)

select
    linked.patient_id_a,
    linked.patient_id_b,
    concat_ws(
        ', ',
        {%- for says in ['national_id', 'record_number', 'hospital', 'decision'] %}
        max(case when linked.linked_by = '{{ says }}' then '{{ says }}' end){{ ',' if not loop.last }}
        {%- endfor %}
    ) as linked_by
from linked
left join {{ ref('int_identity_decisions') }} as parted
    on linked.patient_id_a = parted.patient_id_a
    and linked.patient_id_b = parted.patient_id_b
    and parted.decision = 'distinct'
where parted.decision is null
group by linked.patient_id_a, linked.patient_id_b
