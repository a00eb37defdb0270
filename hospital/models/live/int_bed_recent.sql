-- One row per event of each version of the ledger that was the newest of its encounter when it was added: what int_bed_current chooses
-- from, small enough to be read whole. Upkeep trims it to what int_bed_current shows: an encounter that is neither open nor was lately
-- leaves, and so do versions that have been replaced. News of an encounter bring all of its events back.
--
-- A wave reads the versions that it added to the ledger, and appends.

{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='append_new_columns',
    meta={'wardlake': {'trimmed_to': 'int_bed_current'}}
) }}

{%- if is_incremental() %}

with news as (

    select *
    from {{ changes(ref('int_bed_ledger')) }}
    qualify rank() over (partition by hospital_id, encounter_id order by version desc) = 1

)

select *
from news
where {{ only_new('news', ['hospital_id', 'encounter_id', 'version', 'delivery_id', 'part']) }}
{%- else %}

{{ bed_current_rows(changes(ref('int_bed_ledger'))) }}
{%- endif %}
