-- Pairs of records that share a block, each pair once, the smaller id first.

{% set rules = [
    'national_id', 'record_number', 'birth_date_and_sound', 'birth_date_and_given_name', 'phone',
    'name_and_swapped_birth_date', 'name_and_postal_code'
] %}

with pairs as (

    select
        one.patient_id as patient_id_a,
        other.patient_id as patient_id_b,
        one.rule
    from {{ ref('int_identity_keys') }} as one
    inner join {{ ref('int_identity_keys') }} as other
        on one.rule = other.rule
        and one.block_key = other.block_key
        and one.patient_id < other.patient_id
    where not one.is_too_big

)

select
    patient_id_a,
    patient_id_b,
    concat_ws(
        ', ',
        {%- for rule in rules %}
        max(case when rule = '{{ rule }}' then rule end){{ ',' if not loop.last }}
        {%- endfor %}
    ) as rules
from pairs
group by patient_id_a, patient_id_b
