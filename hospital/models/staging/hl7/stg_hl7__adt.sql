-- One row per ADT message: an event in the stay of a patient, in a merge of records or in the data about a patient. A message
-- sent again counts once. Messages of a training or test system are left out.

with received as (

    {{ newest_rows(ref('stg_hl7__messages'), 'message_key') | indent(4) }}

),

typed as (

    select
        -- ids
        message_key,
        {{ as_text('event_id') }} as event_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('patient_id') }} as patient_id,
        {{ as_text('patient_id_authority') }} as patient_id_authority,
        {{ as_text('medical_record_number') }} as medical_record_number,
        {{ as_text('national_id') }} as national_id,
        {{ as_text('encounter_id') }} as encounter_id,
        {{ as_text('visit_number') }} as visit_number,
        {{ as_text('account_number') }} as account_number,
        {{ as_text('facility') }} as facility,
        {{ as_text('department_id') }} as department_id,
        {{ as_text('room_id') }} as room_id,
        {{ as_text('bed_id') }} as bed_id,
        {{ as_text('prior_department_id') }} as prior_department_id,
        {{ as_text('prior_room_id') }} as prior_room_id,
        {{ as_text('prior_bed_id') }} as prior_bed_id,
        {{ as_text('pending_department_id') }} as pending_department_id,
        {{ as_text('pending_room_id') }} as pending_room_id,
        {{ as_text('pending_bed_id') }} as pending_bed_id,
        {{ as_text('temporary_department_id') }} as temporary_department_id,
        {{ as_text('temporary_room_id') }} as temporary_room_id,
        {{ as_text('temporary_bed_id') }} as temporary_bed_id,
        {{ as_text('physician_id') }} as physician_id,
        {{ as_text('merged_patient_id') }} as merged_patient_id,
        {{ as_text('merged_account_number') }} as merged_account_number,
        {{ as_text('merged_encounter_id') }} as merged_encounter_id,
        {{ as_text('merged_into_patient_id') }} as merged_into_patient_id,
        {{ as_text('zbe_movement_id') }} as zbe_movement_id,
        -- text
        upper({{ as_text('event_type') }}) as event_type,
        {{ as_text('event_reason') }} as event_reason,
        {{ as_text('family_name') }} as family_name,
        {{ as_text('given_name') }} as given_name,
        {{ as_code('gender') }} as gender,
        upper({{ as_text('patient_class') }}) as patient_class,
        {{ as_text('admission_type') }} as admission_type,
        {{ as_text('discharge_disposition') }} as discharge_disposition,
        upper({{ as_text('zbe_action') }}) as zbe_action,
        upper({{ as_text('zbe_original_event') }}) as zbe_original_event,
        merges,
        second_patient,
        -- numerics and flags
        coalesce({{ as_code('zbe_is_historic') }} = 'true', false) as is_historic,
        coalesce({{ as_code('is_dead') }} = 'true', false) as is_dead,
        -- dates and instants
        {{ hl7_occurred_at() }} as occurred_at,
        {{ hl7_instant('recorded_at') }} as recorded_at,
        {{ hl7_instant('planned_at') }} as planned_at,
        {{ hl7_instant('admitted_at') }} as admitted_at,
        {{ hl7_instant('discharged_at') }} as discharged_at,
        {{ hl7_instant('expected_admit_at') }} as expected_admit_at,
        {{ hl7_instant('expected_discharge_at') }} as expected_discharge_at,
        {{ hl7_instant('expected_return_at') }} as expected_return_at,
        {{ hl7_instant('zbe_ended_at') }} as zbe_ended_at,
        {{ hl7_instant('died_at') }} as died_at,
        {{ hl7_date('birth_date') }} as birth_date,
        _received_at as received_at,
        -- lineage
        {{ lineage() }}{{ audit_columns(['occurred_at', 'recorded_at']) }}{{ hl7_audit_columns() }}
    from received
    where message_type = 'ADT'
        and {{ hl7_is_kept() }}

)

select * from typed
