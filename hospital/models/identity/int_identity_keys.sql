-- Keys by which records are brought together for comparison: records that share one are a block, and only they are compared.
-- A block of more records than `identity_block_limit` is left out and reported by a test: its key is no key.

with keys as (

    select patient_id, 'national_id' as rule, national_id as block_key
    from {{ ref('int_identity_records') }}
    union all
    -- A record number belongs to the hospital that assigned it.
    select patient_id, 'record_number' as rule, hospital_id || '|' || mrn as block_key
    from {{ ref('int_identity_records') }}
    union all
    select patient_id, 'birth_date_and_sound' as rule, cast(date_of_birth as varchar) || '|' || family_name_sound as block_key
    from {{ ref('int_identity_records') }}
    union all
    select patient_id, 'birth_date_and_given_name' as rule, cast(date_of_birth as varchar) || '|' || given_name as block_key
    from {{ ref('int_identity_records') }}
    union all
    select patient_id, 'phone' as rule, phone as block_key
    from {{ ref('int_identity_records') }}
    union all
    -- The same key whether day and month are swapped or not.
    select
        patient_id,
        'name_and_swapped_birth_date' as rule,
        given_name || '|' || family_name || '|' || cast(extract(year from date_of_birth) as varchar)
            || '|' || cast(least(extract(month from date_of_birth), extract(day from date_of_birth)) as varchar)
            || '|' || cast(greatest(extract(month from date_of_birth), extract(day from date_of_birth)) as varchar) as block_key
    from {{ ref('int_identity_records') }}
    union all
    select patient_id, 'name_and_postal_code' as rule, given_name || '|' || family_name || '|' || postal_code as block_key
    from {{ ref('int_identity_records') }}

),

blocks as (

    select rule, block_key, count(*) as record_count
    from keys
    where block_key is not null
    group by rule, block_key
    having count(*) > 1

)

select
    keys.patient_id,
    keys.rule,
    keys.block_key,
    blocks.record_count,
    blocks.record_count > {{ var('identity_block_limit') }} as is_too_big
from keys
inner join blocks
    on keys.rule = blocks.rule
    and keys.block_key = blocks.block_key
