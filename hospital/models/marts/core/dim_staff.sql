-- One row per person on the staff as now known (physicians, nurses, other employees), and the unknown member.
-- An id that stands in two lists is one person: physician before nurse before employee.

with staff as (

    select
        physician_id as staff_id,
        hospital_id,
        department_id,
        'physician' as staff_type,
        first_name,
        last_name,
        specialty as staff_role,
        hired_date,
        cast(null as date) as left_date,
        1 as list_rank
    from {{ ref('stg_hospital__physicians') }}
    union all
    select
        nurse_id as staff_id,
        hospital_id,
        department_id,
        'nurse' as staff_type,
        first_name,
        last_name,
        grade as staff_role,
        hired_date,
        cast(null as date) as left_date,
        2 as list_rank
    from {{ ref('stg_hospital__nurses') }}
    union all
    select
        employee_id as staff_id,
        hospital_id,
        department_id,
        'employee' as staff_type,
        first_name,
        last_name,
        role as staff_role,
        hired_date,
        left_date,
        3 as list_rank
    from {{ ref('stg_hospital__employees') }}

),

one_per_person as (

    select *
    from staff
    qualify row_number() over (partition by staff_id order by list_rank) = 1

)

select
    {{ surrogate_key(['staff_id']) }} as staff_key,
    staff_id,
    hospital_id,
    department_id,
    staff_type,
    first_name,
    last_name,
    staff_role,
    hired_date,
    left_date
from one_per_person
union all
select
    {{ unknown_key() }} as staff_key,
    'unknown' as staff_id,
    cast(null as varchar) as hospital_id,
    cast(null as varchar) as department_id,
    'unknown' as staff_type,
    cast(null as varchar) as first_name,
    'unknown' as last_name,
    cast(null as varchar) as staff_role,
    cast(null as date) as hired_date,
    cast(null as date) as left_date
