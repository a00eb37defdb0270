-- Every state of each patient that an extract brought, one row per bronze row: the history from which
-- int_patient_versions builds its versions. A delete is a row too: it ends the version before it.

with received as (

    {{ received_rows(source('hospital', 'patients'), 'patient_id') | indent(4) }}

),

typed as (

    select
        -- ids
        {{ as_text('patient_id') }} as patient_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('mrn') }} as mrn,
        {{ as_text('national_id') }} as national_id,
        {{ as_text('insurance_id') }} as insurance_id,
        -- text
        {{ as_text('first_name') }} as first_name,
        {{ as_text('last_name') }} as last_name,
        {{ standardised('gender') | indent(8) }} as gender,
        nullif(regexp_replace(trim(phone), '[^0-9+]', '', 'g'), '') as phone,
        {{ as_code('email') }} as email,
        {{ as_text('address_line') }} as address_line,
        {{ as_text('city') }} as city,
        {{ as_text('postal_code') }} as postal_code,
        -- dates and instants
        {{ as_date('date_of_birth') }} as date_of_birth,
        {{ as_date('deceased_date') }} as deceased_date,
        {{ as_instant('registered_at') }} as registered_at,
        {{ as_instant('updated_at') }} as updated_at,
        cast({{ as_local_time('registered_at') }} as date) as registered_date,
        {{ extract_date('_file') }} as extract_date,
        coalesce(_change, 'insert') = 'delete' as is_delete,
        -- lineage
        {{ lineage() }},
        _received_at as received_at{{ audit_columns(['registered_at'], ['first_name', 'last_name', 'address_line', 'city']) }}
    from received

)

select * from typed
