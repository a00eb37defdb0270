-- All versions of every patient (SCD2) over the whole bronze history. A rebuild from bronze gives the same versions,
-- which a dbt snapshot, seeing one state per run, could not when extracts arrive late or many at once.

{{ versions(
    ref('stg_hospital__patient_changes'),
    'patient_id',
    'patient_key',
    [
        'hospital_id', 'mrn', 'national_id', 'insurance_id', 'first_name', 'last_name', 'gender', 'phone', 'email',
        'address_line', 'city', 'postal_code', 'date_of_birth', 'deceased_date', 'registered_at'
    ]
) }}
