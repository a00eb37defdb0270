{{ config(severity='warn') }}
-- People (patients and physicians) whose first name somebody before them in the order of ids has too: a first name is no key.
select kind, person_id, first_name
from (
    select
        kind,
        person_id,
        first_name,
        row_number() over (partition by first_name order by kind, person_id, last_name) as name_number
    from (
        select 'patient' as kind, patient_id as person_id, first_name, last_name from {{ ref('stg_hms__patients') }}
        union all
        select 'physician' as kind, physician_id as person_id, first_name, last_name from {{ ref('stg_hms__physicians') }}
    ) as people
) as numbered
where name_number > 1
