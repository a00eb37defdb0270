-- Each patient record in the forms that compare. An impossible birth date is NULL: it cannot tell people apart.

select
    patients.patient_id,
    patients.hospital_id,
    patients.mrn,
    nullif(regexp_replace(upper(patients.national_id), '[^A-Z0-9]', '', 'g'), '') as national_id,
    {{ normalise_name('patients.first_name') }} as given_name,
    {{ normalise_name('patients.last_name') }} as family_name,
    {{ normalise_phone('patients.phone', var('phone_country_code')) }} as phone,
    nullif(patients.gender, 'unknown') as gender,
    patients.postal_code,
    case
        when patients.date_of_birth > cast('1900-01-01' as date)
            and patients.date_of_birth <= clock.as_of_date
        then patients.date_of_birth
    end as date_of_birth
from {{ ref('stg_hospital__patients') }} as patients
cross join {{ ref('int_clock') }} as clock
