-- How far each field of a pair agrees: a level per field, NULL where either record lacks the field.

with compared as (

    select
        candidates.patient_id_a,
        candidates.patient_id_b,
        one.national_id as national_id_a,
        other.national_id as national_id_b,
        one.hospital_id = other.hospital_id and one.mrn = other.mrn as is_same_record_number,
        one.given_name as given_name_a,
        other.given_name as given_name_b,
        one.family_name as family_name_a,
        other.family_name as family_name_b,
        one.given_name_count,
        one.family_name_count,
        one.family_name_sound = other.family_name_sound and one.family_name_sound <> '' as is_same_sound,
        one.given_name = other.family_name and one.family_name = other.given_name as is_name_swapped,
        one.date_of_birth as date_of_birth_a,
        other.date_of_birth as date_of_birth_b,
        one.phone as phone_a,
        other.phone as phone_b,
        one.gender as gender_a,
        other.gender as gender_b,
        one.postal_code as postal_code_a,
        other.postal_code as postal_code_b
    from {{ ref('int_identity_candidates') }} as candidates
    inner join {{ ref('int_identity_records') }} as one on candidates.patient_id_a = one.patient_id
    inner join {{ ref('int_identity_records') }} as other on candidates.patient_id_b = other.patient_id

),

levels as (

    select
        patient_id_a,
        patient_id_b,
        given_name_count,
        family_name_count,
        phone_a,
        phone_b,
        postal_code_a,
        postal_code_b,
        case
            when national_id_a is null or national_id_b is null then null
            when national_id_a = national_id_b then 'equal'
            when damerau_levenshtein(national_id_a, national_id_b) = 1 then 'similar'
            else 'different'
        end as national_id,
        case when is_same_record_number then 'equal' end as record_number,
        case
            when given_name_a is null or given_name_b is null then null
            when given_name_a = given_name_b then 'equal'
            when is_name_swapped then 'swapped'
            when {{ jaro_winkler('given_name_a', 'given_name_b') }} >= 0.9 then 'similar'
            -- An initial or a short form: R, Rob.
            when given_name_a like given_name_b || '%' or given_name_b like given_name_a || '%' then 'short'
            else 'different'
        end as given_name,
        case
            when family_name_a is null or family_name_b is null then null
            when family_name_a = family_name_b then 'equal'
            when is_name_swapped then 'swapped'
            when {{ jaro_winkler('family_name_a', 'family_name_b') }} >= 0.9 then 'similar'
            when is_same_sound then 'sound'
            else 'different'
        end as family_name,
        case
            when date_of_birth_a is null or date_of_birth_b is null then null
            when date_of_birth_a = date_of_birth_b then 'equal'
            when extract(year from date_of_birth_a) = extract(year from date_of_birth_b)
                and extract(month from date_of_birth_a) = extract(day from date_of_birth_b)
                and extract(day from date_of_birth_a) = extract(month from date_of_birth_b)
            then 'swapped'
            when damerau_levenshtein(cast(date_of_birth_a as varchar), cast(date_of_birth_b as varchar)) = 1 then 'similar'
            else 'different'
        end as birth_date,
        case
            when gender_a is null or gender_b is null then null
            when gender_a = gender_b then 'equal'
            else 'different'
        end as gender
    from compared

)

-- Members of a household share phone and address, twins the birth date too: where given names differ, sharing them says nothing.
select
    patient_id_a,
    patient_id_b,
    national_id,
    record_number,
    given_name,
    family_name,
    birth_date,
    case
        when phone_a is null or phone_b is null then null
        when phone_a = phone_b and given_name = 'different' then 'household'
        when phone_a = phone_b then 'equal'
        when damerau_levenshtein(phone_a, phone_b) = 1 and coalesce(given_name, '') <> 'different' then 'similar'
        else 'different'
    end as phone,
    case
        when postal_code_a is null or postal_code_b is null then null
        when postal_code_a = postal_code_b and given_name = 'different' then 'household'
        when postal_code_a = postal_code_b then 'equal'
        else 'different'
    end as postal_code,
    gender,
    case when given_name = 'equal' then given_name_count end as given_name_count,
    case when family_name = 'equal' then family_name_count end as family_name_count
from levels
