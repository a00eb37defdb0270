-- One row per event. A stay is counted in whole seconds between the clock readings, as the original star schema counts it, and given in
-- hours; a negative one is an impossible stay and is kept.
select
    cast(row_number() over (order by events.patient_id, events.admission_time, events.bed_id) - 1 as bigint) as fact_id,
    patients.surrogate_key as patient_sk,
    departments.surrogate_key as department_sk,
    events.admission_time,
    events.discharge_time,
    cast(events.admission_time as date) as admission_date,
    cast({{ dbt.datediff('events.admission_time', 'events.discharge_time', 'second') }} as double) / 3600.0
        as length_of_stay_hours,
    events.admission_time <= cast('{{ var("as_of") }}' as timestamp)
        and events.discharge_time > cast('{{ var("as_of") }}' as timestamp) as is_currently_admitted,
    events.bed_id,
    events.event_ingestion_time,
    events.discharge_time < events.admission_time as is_impossible_stay,
    events.source_file,
    events.source_position
from {{ ref('stg_patient_flow__events') }} as events
inner join {{ ref('dim_patient') }} as patients
    on events.patient_id = patients.patient_id
    and events.gender = patients.gender
    and events.age = patients.age
inner join {{ ref('dim_department') }} as departments
    on events.department = departments.department
    and events.hospital_id = departments.hospital_id
