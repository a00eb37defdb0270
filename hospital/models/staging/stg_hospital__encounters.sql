-- The newest state of each encounter. `…_at` are instants (UTC) for order and durations, `…_local_at` and `…_date`
-- the wall clock for counting days.

with newest as (

    {{ newest_rows(source('hospital', 'encounters'), 'encounter_id') | indent(4) }}

),

typed as (

    select
        -- ids
        {{ as_text('encounter_id') }} as encounter_id,
        {{ as_text('patient_id') }} as patient_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('department_id') }} as department_id,
        {{ as_text('attending_physician_id') }} as attending_physician_id,
        -- text
        {{ as_code('encounter_class') }} as encounter_class,
        {{ as_code('admission_type') }} as admission_type,
        {{ as_code('discharge_disposition') }} as discharge_disposition,
        {{ as_text('diagnosis_code') }} as diagnosis_code,
        {{ as_text('diagnosis_text') }} as diagnosis_text,
        -- numerics and flags
        {{ as_integer('triage_level') }} as triage_level,
        {{ has_ambiguous_time([
            'arrived_at', 'triaged_at', 'provider_seen_at', 'admit_decision_at',
            'departed_ed_at', 'admitted_at', 'discharged_at'
        ]) | indent(8) }} as has_ambiguous_time,
        -- dates and instants
        {{ as_instant('arrived_at') }} as arrived_at,
        {{ as_instant('triaged_at') }} as triaged_at,
        {{ as_instant('provider_seen_at') }} as provider_seen_at,
        {{ as_instant('admit_decision_at') }} as admit_decision_at,
        {{ as_instant('departed_ed_at') }} as departed_ed_at,
        {{ as_instant('admitted_at') }} as admitted_at,
        {{ as_instant('discharged_at') }} as discharged_at,
        {{ as_instant('updated_at') }} as updated_at,
        {{ as_local_time('arrived_at') }} as arrived_local_at,
        {{ as_local_time('discharged_at') }} as discharged_local_at,
        cast({{ as_local_time('arrived_at') }} as date) as arrived_date,
        cast({{ as_local_time('admitted_at') }} as date) as admitted_date,
        cast({{ as_local_time('discharged_at') }} as date) as discharged_date,
        {{ as_date('expected_discharge_date') }} as expected_discharge_date,
        -- lineage
        {{ lineage() }}{{ audit_columns([
            'arrived_at', 'triaged_at', 'provider_seen_at', 'admit_decision_at',
            'departed_ed_at', 'admitted_at', 'discharged_at'
        ]) }}
    from newest

)

select * from typed
