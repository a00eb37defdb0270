-- One row per version of a patient, and the unknown member.

with versions as (

    select
        versions.*,
        coalesce(merges.master_patient_id, versions.patient_id) as master_patient_id,
        coalesce(merges.is_unresolved, false) as is_merge_unresolved,
        coalesce(versions.date_of_birth > clock.as_of_date, false)
            or coalesce({{ age_years('versions.date_of_birth', 'clock.as_of_date') }} > 125, false)
            or coalesce(versions.registered_at > {{ dbt.dateadd('day', 1, 'clock.as_of_at') }}, false)
            or coalesce(versions.deceased_date < versions.date_of_birth, false)
            or coalesce(
                cast({{ utc_to_local('versions.registered_at', var('time_zone')) }} as date) < versions.date_of_birth, false
            ) as has_impossible_dates,
        {{ is_damaged_text(['last_name', 'first_name']) }} as has_damaged_name
    from {{ ref('int_patient_versions') }} as versions
    left join {{ ref('int_patient_merges') }} as merges on versions.patient_id = merges.patient_id
    cross join {{ ref('int_clock') }} as clock

),

members as (

    select
        patient_key,
        patient_id,
        master_patient_id,
        hospital_id,
        mrn,
        national_id,
        insurance_id,
        first_name,
        last_name,
        gender,
        phone,
        email,
        address_line,
        city,
        postal_code,
        version_number,
        is_current,
        has_impossible_dates,
        has_damaged_name,
        is_merge_unresolved,
        date_of_birth,
        deceased_date,
        registered_at,
        valid_from,
        valid_to
    from versions
    union all
    select
        {{ unknown_key() }} as patient_key,
        'unknown' as patient_id,
        'unknown' as master_patient_id,
        cast(null as varchar) as hospital_id,
        cast(null as varchar) as mrn,
        cast(null as varchar) as national_id,
        cast(null as varchar) as insurance_id,
        cast(null as varchar) as first_name,
        'unknown' as last_name,
        'unknown' as gender,
        cast(null as varchar) as phone,
        cast(null as varchar) as email,
        cast(null as varchar) as address_line,
        cast(null as varchar) as city,
        cast(null as varchar) as postal_code,
        1 as version_number,
        true as is_current,
        false as has_impossible_dates,
        false as has_damaged_name,
        false as is_merge_unresolved,
        cast(null as date) as date_of_birth,
        cast(null as date) as deceased_date,
        cast(null as timestamp) as registered_at,
        cast('1900-01-01 00:00:00' as timestamp) as valid_from,
        cast(null as timestamp) as valid_to

)

select * from members
