-- All versions of every department (SCD2) over the whole bronze history, built as int_patient_versions is.

{{ versions(
    ref('stg_hospital__department_changes'),
    'department_id',
    'department_key',
    ['hospital_id', 'head_physician_id', 'department_name', 'department_type', 'floor', 'staffed_beds']
) }}
