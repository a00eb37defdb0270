-- One row per dispensing; a line delivered twice counts once.

with newest as (

    {{ newest_rows(source('hospital', 'dispensed'), 'dispense_id') | indent(4) }}

),

typed as (

    select
        -- ids
        {{ as_text('dispense_id') }} as dispense_id,
        {{ as_text('encounter_id') }} as encounter_id,
        {{ as_text('patient_id') }} as patient_id,
        {{ as_text('hospital_id') }} as hospital_id,
        {{ as_text('department_id') }} as department_id,
        {{ as_text('medication_id') }} as medication_id,
        {{ as_text('prescriber_id') }} as prescriber_id,
        -- numerics and flags
        {{ as_decimal('quantity') }} as quantity,
        {{ as_decimal('returned_quantity') }} as returned_quantity,
        -- dates and instants
        {{ as_instant('dispensed_at') }} as dispensed_at,
        cast({{ as_local_time('dispensed_at') }} as date) as dispensed_date,
        -- lineage
        {{ lineage() }}{{ audit_columns(['dispensed_at']) }}
    from newest

)

select * from typed
