-- Who has a bed now by the small table of what is open is who has one now by the whole ledger.
{{ config(tags=['history']) }}

with now_by_ledger as (

    select *
    from ({{ census_at("(select as_of_at from " ~ ref('int_live_clock') ~ ")") }}) as present
    where bed_state in ('occupied', 'held')

),

now_by_census as (

    select hospital_id, encounter_id, bed_id, bed_state, since_at
    from {{ ref('int_live_census') }}
    where bed_state in ('occupied', 'held')

)

select
    coalesce(ledger.hospital_id, census.hospital_id) as hospital_id,
    coalesce(ledger.encounter_id, census.encounter_id) as encounter_id,
    ledger.bed_id as ledger_bed_id,
    census.bed_id as census_bed_id
from now_by_ledger as ledger
full outer join now_by_census as census
    on ledger.hospital_id = census.hospital_id
    and ledger.encounter_id = census.encounter_id
where ledger.encounter_id is null
    or census.encounter_id is null
    or ledger.bed_id is distinct from census.bed_id
    or ledger.bed_state <> census.bed_state
    or ledger.valid_from <> census.since_at
