-- One row per version of a patient (slowly changing dimension, type 2). A version holds from when it was received until the next
-- one was; the identity is the name, the date of birth and the telephone number.
select
    md5(patient_key || '|' || cast(version_number as varchar)) as patient_sk,
    patient_key,
    full_name,
    date_of_birth,
    gender,
    contact,
    address,
    state,
    cast(version_number as integer) as version_number,
    extract_date,
    received_at as valid_from,
    lead(received_at) over (partition by patient_key order by version_number) as valid_to,
    lead(received_at) over (partition by patient_key order by version_number) is null as is_current,
    source_file,
    source_position
from (
    select
        *,
        row_number() over (partition by patient_key order by received_at, source_file, row_hash) as version_number
    from (
        select
            *,
            md5(full_name || '|' || coalesce(cast(date_of_birth as varchar), date_of_birth_as_sent) || '|' || contact)
                as patient_key
        from {{ ref('stg_patients_tab__patients') }}
        where row_change <> 'delete'
    ) as keyed
) as numbered
