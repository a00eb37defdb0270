-- One row: what "now" is. The variable `as_of` (local wall time) decides; without it the newest event that an extract
-- could have known, so that a future date typed by mistake does not move the clock.

{% set as_of = var('as_of', none) %}

with extracts as (

    select max(source_file) as newest_file from {{ ref('stg_hospital__encounters') }}
    union all
    select max(source_file) as newest_file from {{ ref('stg_hospital__transfers') }}
    union all
    select max(source_file) as newest_file from {{ ref('stg_hospital__adt') }}

),

newest_extract as (

    select max({{ extract_date('newest_file') }}) as newest_extract_date
    from extracts

),

cut as (

    select
        newest_extract_date,
        {{ local_midnight(add_days('newest_extract_date', 1)) }} as newest_cut_at
    from newest_extract

),

events as (

    select arrived_at as event_at from {{ ref('stg_hospital__encounters') }}
    union all
    select discharged_at as event_at from {{ ref('stg_hospital__encounters') }}
    union all
    select started_at as event_at from {{ ref('stg_hospital__transfers') }}
    union all
    select occurred_at as event_at from {{ ref('stg_hospital__adt') }}

),

newest_event as (

    select max(events.event_at) as newest_event_at
    from events
    cross join cut
    where events.event_at <= coalesce(cut.newest_cut_at, events.event_at)

),

chosen as (

    select
        {% if as_of -%}
        {{ local_to_utc("'" ~ as_of ~ "'", var('time_zone')) }} as as_of_at,
        {%- else -%}
        newest_event.newest_event_at as as_of_at,
        {%- endif %}
        newest_event.newest_event_at,
        cut.newest_extract_date
    from newest_event
    cross join cut

)

select
    as_of_at,
    {{ utc_to_local('as_of_at', var('time_zone')) }} as as_of_local_at,
    cast({{ utc_to_local('as_of_at', var('time_zone')) }} as date) as as_of_date,
    newest_event_at,
    newest_extract_date
from chosen
