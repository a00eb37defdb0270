-- One row: what "now" is in the live models. The variable `as_of` (local wall time) decides; without it the newest event that had
-- happened when it was recorded and when it came, so that neither a planned discharge nor a mistyped year moves the clock. Senders'
-- clocks may be `live_clock_ahead_minutes` ahead. Never the computer's clock.
--
-- A wave reads the row of the wave before and the new events.

{{ config(materialized='incremental', incremental_strategy=replaced_whole(), unique_key='clock_id') }}

{% set as_of = var('as_of', none) %}

with seen as (

    select max(occurred_at) as newest_event_at
    from {{ changes(ref('int_bed_events')) }}
    where withheld is null
        and occurred_at <= known_at
        and (
            occurred_at <= {{ dbt.dateadd('minute', var('live_clock_ahead_minutes'), 'received_at') }}
            -- The file is of a day that had not begun: a time to come that is played.
            or received_at < {{ dbt.dateadd('day', -1, extract_cut('source_file')) }}
        )
    {%- if is_incremental() %}
    union all
    select newest_event_at
    from {{ this }}
    {%- endif %}

),

chosen as (

    select
        max(newest_event_at) as newest_event_at,
        {% if as_of -%}
        {{ local_to_utc("'" ~ as_of ~ "'", var('time_zone')) }} as as_of_at
        {%- else -%}
        max(newest_event_at) as as_of_at
        {%- endif %}
    from seen

)

select
    1 as clock_id,
    as_of_at,
    {{ utc_to_local('as_of_at', var('time_zone')) }} as as_of_local_at,
    cast({{ utc_to_local('as_of_at', var('time_zone')) }} as date) as as_of_date,
    newest_event_at
from chosen
