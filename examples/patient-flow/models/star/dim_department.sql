-- A department is a name within a hospital: "Surgery" of two hospitals is two departments.
select
    cast(row_number() over (order by hospital_id, department) - 1 as bigint) as surrogate_key,
    department,
    hospital_id
from (
    select distinct department, hospital_id
    from {{ ref('stg_patient_flow__events') }}
) as departments
