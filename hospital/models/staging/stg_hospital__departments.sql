-- The newest state of each department, without those that the newest extracts no longer hold.

with newest as (

    {{ newest_states(ref('stg_hospital__department_changes'), 'department_id') | indent(4) }}

)

select
    -- ids
    department_id,
    hospital_id,
    head_physician_id,
    -- text
    department_name,
    department_type,
    floor,
    -- numerics and flags
    staffed_beds,
    -- dates and instants
    updated_at,
    -- lineage
    source_file,
    source_position{{ audit_state_columns('hospital.departments', [
        'department_id', 'hospital_id', 'head_physician_id', 'department_name', 'department_type', 'floor',
        'staffed_beds', 'updated_at'
    ]) }}
from newest
