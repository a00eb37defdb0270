-- How probable it is that two records are one person: the weights of what agrees and what does not, added to the weight with
-- which any two records are one person (`identity_prior_weight`), as a probability. Fields are taken to err independently of
-- one another, which they do only roughly: the score orders the review, it decides nothing.
--
-- Sharing a rare name says more than sharing a common one: the weight of equal names takes the name's own frequency among the
-- records (Fellegi and Sunter 1969, section 3), drawn towards the estimate of int_identity_weights as if that came from 200
-- records more.

{% set fields = [
    'national_id', 'record_number', 'family_name', 'given_name', 'birth_date', 'phone', 'postal_code', 'gender'
] %}

with total as (

    select count(*) as record_count
    from {{ ref('int_identity_records') }}

),

summed as (

    select
        pairs.patient_id_a,
        pairs.patient_id_b,
        {%- for field in fields %}
        {{ '+ ' if not loop.first }}
        {%- if field in ['family_name', 'given_name'] -%}
        coalesce(
            cast(log2({{ field }}_weight.if_same / (
                (pairs.{{ field }}_count + 200 * {{ field }}_weight.if_different) / (total.record_count + 200)
            )) as decimal(9, 3)),
            {{ field }}_weight.weight,
            0
        )
        {%- else -%}
        coalesce({{ field }}_weight.weight, 0)
        {%- endif %}
        {%- endfor %} as total_weight,
        concat_ws(
            '; ',
            {%- for field in fields %}
            {{ field }}_weight.reason{{ ',' if not loop.last }}
            {%- endfor %}
        ) as reasons
    from {{ ref('int_identity_comparisons') }} as pairs
    cross join total
    {%- for field in fields %}
    left join {{ ref('int_identity_weights') }} as {{ field }}_weight
        on {{ field }}_weight.field = '{{ field }}'
        and pairs.{{ field }} = {{ field }}_weight.level
    {%- endfor %}

)

select
    patient_id_a,
    patient_id_b,
    cast(total_weight as double) as weight,
    -- Nothing that is only probable is certain.
    least(0.9999, round(
        1.0 / (1.0 + power(2.0, -(cast(total_weight as double) + cast({{ var('identity_prior_weight') }} as double)))), 4
    )) as score,
    reasons
from summed
