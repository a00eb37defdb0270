-- Each event is either in silver or in quarantine: events in = silver + quarantine.

with counts as (

    select
        (select count(*) from {{ ref('int_events') }}) as events_in,
        (select count(*) from {{ ref('silver_events') }}) as silver,
        (select count(*) from {{ ref('quarantine_events') }}) as quarantined

)

select *
from counts
where events_in <> silver + quarantined
