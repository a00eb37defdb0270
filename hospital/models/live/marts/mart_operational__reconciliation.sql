-- Every difference between the bed stays of the nightly extracts and those of the stream, with its kind and what explains it. Stays
-- are paired by encounter, bed and how often the patient came back to that bed; what is left over, by encounter and start.
-- Compared are hospitals that send both. A difference without an explanation is somebody's mistake.

{{ config(materialized='table') }}

with senders as (

    select hospital_id, min(started_at) as stream_began_at, max(recorded_from) as stream_told_until
    from {{ ref('int_bed_stream_stays') }}
    group by hospital_id

),

extract_stays as (

    select
        stays.hospital_id,
        stays.encounter_id,
        stays.bed_id,
        row_number() over (partition by stays.hospital_id, stays.encounter_id, stays.bed_id order by stays.started_at)
            as bed_turn,
        stays.started_at,
        stays.ended_at,
        stays.is_inferred
    from {{ ref('int_bed_stays') }} as stays
    inner join senders on stays.hospital_id = senders.hospital_id
    where stays.is_counted
        and stays.bed_id is not null

),

paired as (

    select
        coalesce(extract_stays.hospital_id, stream_stays.hospital_id) as hospital_id,
        coalesce(extract_stays.encounter_id, stream_stays.encounter_id) as encounter_id,
        extract_stays.bed_id as extract_bed_id,
        stream_stays.bed_id as stream_bed_id,
        extract_stays.started_at as extract_started_at,
        stream_stays.started_at as stream_started_at,
        extract_stays.ended_at as extract_ended_at,
        stream_stays.ended_at as stream_ended_at,
        extract_stays.is_inferred,
        stream_stays.finding,
        stream_stays.recorded_from
    from extract_stays
    full outer join {{ ref('int_bed_stream_stays') }} as stream_stays
        on extract_stays.hospital_id = stream_stays.hospital_id
        and extract_stays.encounter_id = stream_stays.encounter_id
        and extract_stays.bed_id = stream_stays.bed_id
        and extract_stays.bed_turn = stream_stays.bed_turn

),

left_over as (

    select
        coalesce(extracted.hospital_id, streamed.hospital_id) as hospital_id,
        coalesce(extracted.encounter_id, streamed.encounter_id) as encounter_id,
        extracted.extract_bed_id,
        streamed.stream_bed_id,
        extracted.extract_started_at,
        streamed.stream_started_at,
        extracted.extract_ended_at,
        streamed.stream_ended_at,
        extracted.is_inferred,
        streamed.finding,
        streamed.recorded_from
    from (select * from paired where stream_bed_id is null) as extracted
    full outer join (select * from paired where extract_bed_id is null) as streamed
        on extracted.hospital_id = streamed.hospital_id
        and extracted.encounter_id = streamed.encounter_id
        and extracted.extract_started_at = streamed.stream_started_at

),

compared as (

    select * from paired where extract_bed_id is not null and stream_bed_id is not null
    union all
    select * from left_over

),

differences as (

    select
        *,
        case
            when stream_bed_id is null then 'missing_in_stream'
            when extract_bed_id is null then 'missing_in_extract'
            when extract_bed_id <> stream_bed_id then 'other_bed'
            when extract_started_at <> stream_started_at then 'other_start'
            when extract_ended_at is distinct from stream_ended_at then 'other_end'
        end as kind
    from compared

),

cuts as (

    select
        {{ local_midnight(add_days('newest_extract_date', 1)) }} as extract_cut_at,
        as_of_at as extract_now_at
    from {{ ref('int_clock') }}

)

select
    differences.hospital_id,
    differences.encounter_id,
    differences.kind,
    case
        when coalesce(differences.extract_started_at, differences.stream_started_at) > cuts.extract_now_at
            then 'after_extract_cut'
        when differences.kind = 'other_end'
            and differences.extract_ended_at is null
            and differences.stream_ended_at > cuts.extract_now_at
            then 'after_extract_cut'
        when differences.recorded_from > cuts.extract_cut_at then 'recorded_after_extract_cut'
        when differences.extract_started_at < senders.stream_began_at then 'before_stream_began'
        when differences.finding is not null then 'finding_in_stream'
        when differences.is_inferred then 'inferred_in_extract'
        when differences.kind = 'missing_in_extract' and encounters.encounter_id is null then 'encounter_not_in_extract'
        when differences.kind = 'missing_in_extract' and not encounters.is_counted then 'encounter_not_counted'
        when differences.kind = 'missing_in_extract' and not encounters.is_bed_stay then 'not_a_bed_stay_in_extract'
        -- Wards record late. What the stream does not know after these hours is lost.
        when (differences.kind = 'missing_in_stream' or (differences.kind = 'other_end' and differences.stream_ended_at is null))
            and coalesce(
                case when differences.kind = 'other_end' then differences.extract_ended_at end,
                differences.extract_started_at
            ) > {{ dbt.dateadd('hour', -1 * var('live_late_hours'), 'senders.stream_told_until') }}
            then 'not_yet_in_stream'
        else 'unexplained'
    end as explanation,
    differences.extract_bed_id,
    differences.stream_bed_id,
    differences.extract_started_at,
    differences.stream_started_at,
    differences.extract_ended_at,
    differences.stream_ended_at,
    differences.finding,
    differences.recorded_from as stream_recorded_from
from differences
cross join cuts
inner join senders on differences.hospital_id = senders.hospital_id
left join {{ ref('int_encounters') }} as encounters
    on differences.encounter_id = encounters.encounter_id
where differences.kind is not null
