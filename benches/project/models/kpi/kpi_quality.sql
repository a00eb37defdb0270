-- Quarantined events by the rules they break.

select reasons, count(*) as events
from {{ ref('quarantine_events') }}
group by reasons
