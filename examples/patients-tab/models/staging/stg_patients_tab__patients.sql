-- Every row that was received as new or changed, typed; dates of birth in one form.
select
    "FullName" as full_name,
    case
        when "DOB" like '%/%' then
            try_cast(split_part("DOB", '/', 3) || '-' || lpad(split_part("DOB", '/', 1), 2, '0') || '-' || lpad(split_part("DOB", '/', 2), 2, '0') as date)
        else try_cast("DOB" as date)
    end as date_of_birth,
    "DOB" as date_of_birth_as_sent,
    "Gender" as gender,
    "Contact" as contact,
    "Address" as address,
    trim(split_part("Address", ',', 2)) as state,
    -- The day of the extract, from the file's name.
    try_cast(replace(regexp_replace(_file, '^.*([0-9]{4}_[0-9]{2}_[0-9]{2}).*$', '\1'), '_', '-') as date) as extract_date,
    cast(_received_at as timestamp) as received_at,
    _change as row_change,
    _file as source_file,
    _position as source_position,
    _row_hash as row_hash
from {{ source('patients_tab', 'patients') }}
