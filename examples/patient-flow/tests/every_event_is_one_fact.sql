-- Rows in = rows out: the joins neither lose nor multiply an event.
select events, facts
from (
    select
        (select count(*) from {{ ref('stg_patient_flow__events') }}) as events,
        (select count(*) from {{ ref('fact_patient_flow') }}) as facts
) as counts
where events <> facts
