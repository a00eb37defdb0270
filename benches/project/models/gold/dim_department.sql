-- Departments as they were (SCD2). Bronze holds a department's row only where it changed, so each of its rows is a version.

with versions as (

    select
        cast(hospital_id as integer) as hospital_id,
        department_id,
        department_name,
        cast(staffed_beds as integer) as staffed_beds,
        cast(floor as integer) as floor,
        cast(left(right(_file, 14), 10) as date) as valid_from
    from {{ source('extracts', 'departments') }}

)

select
    row_number() over (order by hospital_id, department_id, valid_from) as department_sk,
    versions.*,
    lead(valid_from) over (partition by hospital_id, department_id order by valid_from) as valid_to,
    lead(valid_from) over (partition by hospital_id, department_id order by valid_from) is null as is_current
from versions
