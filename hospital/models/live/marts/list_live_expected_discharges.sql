-- Patients in a bed whose discharge is announced (A16) and neither called off nor done. Of several announcements the last holds.

with planned as (

    select hospital_id, encounter_id, expected_discharge_at
    from {{ ref('int_bed_current') }}
    where verdict = 'planned'
    qualify row_number() over (
        partition by hospital_id, encounter_id order by occurred_at desc, event_id desc
    ) = 1

)

select
    census.hospital_id,
    census.department_id,
    census.encounter_id,
    census.surviving_patient_id as patient_id,
    census.room_id,
    census.bed_id,
    census.bed_state,
    planned.expected_discharge_at,
    {{ utc_to_local('planned.expected_discharge_at', var('time_zone')) }} as expected_discharge_local_at,
    planned.expected_discharge_at < census.as_of_at as is_overdue
from {{ ref('int_live_census') }} as census
inner join planned
    on census.hospital_id = planned.hospital_id
    and census.encounter_id = planned.encounter_id
where census.bed_state in ('occupied', 'held')
