-- Events that break a rule, each with every rule it breaks and the text it came with.

select *
from {{ ref('int_events') }}
where reasons <> ''
