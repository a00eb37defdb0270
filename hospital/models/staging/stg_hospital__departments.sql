-- The newest state of each department, without those that the newest extracts no longer hold.

with newest as (

    select *
    from {{ ref('stg_hospital__department_changes') }}
    qualify row_number() over (
        partition by department_id
        order by source_file desc, received_at desc, source_position desc
    ) = 1

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
    source_position
from newest
where not is_delete
