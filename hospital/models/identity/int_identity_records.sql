-- Each patient record as it is compared: its forms, without numbers that more records share than a person has (a placeholder,
-- the hospital's own phone), and how common its names are.

with shared_national_ids as (

    select national_id
    from {{ ref('int_identity_forms') }}
    group by national_id
    having count(*) > {{ var('identity_block_limit') }}

),

shared_phones as (

    select phone
    from {{ ref('int_identity_forms') }}
    group by phone
    having count(*) > {{ var('identity_block_limit') }}

),

given_names as (

    select given_name, count(*) as record_count
    from {{ ref('int_identity_forms') }}
    group by given_name

),

family_names as (

    select family_name, count(*) as record_count
    from {{ ref('int_identity_forms') }}
    group by family_name

)

select
    forms.patient_id,
    forms.hospital_id,
    forms.mrn,
    case when shared_national_ids.national_id is null then forms.national_id end as national_id,
    forms.given_name,
    forms.family_name,
    {{ soundex('forms.family_name') }} as family_name_sound,
    given_names.record_count as given_name_count,
    family_names.record_count as family_name_count,
    case when shared_phones.phone is null then forms.phone end as phone,
    forms.gender,
    forms.postal_code,
    forms.date_of_birth
from {{ ref('int_identity_forms') }} as forms
left join shared_national_ids on forms.national_id = shared_national_ids.national_id
left join shared_phones on forms.phone = shared_phones.phone
left join given_names on forms.given_name = given_names.given_name
left join family_names on forms.family_name = family_names.family_name
