-- A warning, one row per kind of key: keys that too many records share bring none of them together.
{{ config(severity='warn') }}

select rule, count(distinct block_key) as key_count, count(*) as record_count
from {{ ref('int_identity_keys') }}
where is_too_big
group by rule
