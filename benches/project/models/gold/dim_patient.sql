-- Patients as they were (SCD2). Bronze holds a patient's row only where it changed, so each of its rows is a version.

with versions as (

    select
        patient_id,
        first_name, last_name, gender, city, insurer,
        try_cast(birth_date as date) as birth_date,
        cast(left(right(_file, 14), 10) as date) as valid_from
    from {{ source('extracts', 'patients') }}

)

select
    row_number() over (order by patient_id, valid_from) as patient_sk,
    versions.*,
    lead(valid_from) over (partition by patient_id order by valid_from) as valid_to,
    lead(valid_from) over (partition by patient_id order by valid_from) is null as is_current
from versions
