-- One row per event, typed. Nothing is dropped: a stay that cannot be is kept and marked.
select
    patient_id,
    gender,
    try_cast(age as integer) as age,
    department,
    try_cast(hospital_id as integer) as hospital_id,
    try_cast(bed_id as integer) as bed_id,
    try_cast(admission_time as timestamp) as admission_time,
    try_cast(discharge_time as timestamp) as discharge_time,
    cast(_received_at as timestamp) as event_ingestion_time,
    _file as source_file,
    _position as source_position
from {{ source('patient_flow', 'events') }}
