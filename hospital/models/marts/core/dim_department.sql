-- One row per version of a department, and the unknown member.

with members as (

    select
        department_key,
        department_id,
        hospital_id,
        head_physician_id,
        department_name,
        department_type,
        floor,
        staffed_beds,
        version_number,
        is_current,
        -- Departments whose beds are the denominator of occupancy; ED bays and clinic rooms are no inpatient beds.
        coalesce(department_type in ('medical', 'surgical', 'icu', 'maternity', 'pediatric'), false) as is_inpatient_department,
        valid_from,
        valid_to
    from {{ ref('int_department_versions') }}
    union all
    select
        {{ unknown_key() }} as department_key,
        'unknown' as department_id,
        cast(null as varchar) as hospital_id,
        cast(null as varchar) as head_physician_id,
        'unknown' as department_name,
        'unknown' as department_type,
        cast(null as varchar) as floor,
        0 as staffed_beds,
        1 as version_number,
        true as is_current,
        false as is_inpatient_department,
        cast('1900-01-01 00:00:00' as timestamp) as valid_from,
        cast(null as timestamp) as valid_to

)

select * from members
