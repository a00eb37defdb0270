-- In every version of the ledger an encounter is in one place at a time.
{{ config(tags=['history']) }}

select hospital_id, encounter_id, version, event_id
from (
    select
        hospital_id,
        encounter_id,
        version,
        event_id,
        valid_to,
        lead(valid_from) over (partition by hospital_id, encounter_id, version order by valid_from, valid_to nulls last)
            as next_valid_from
    from {{ ref('int_bed_ledger') }}
    where bed_state is not null
) as stays
where coalesce(valid_to > next_valid_from, next_valid_from is not null)
