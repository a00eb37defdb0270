{#- Per table: the rows a rule is asked of, and per rule what it forbids, in words and in SQL. -#}
{%- set rules = [
    (ref('fct_patient_flow'), 'encounters', [
        ('impossible_stay', 'The discharge lies before the admission.', 'is_impossible_stay'),
        ('impossible_ed_time', 'A time in the emergency department lies before the arrival or out of order.', 'is_impossible_ed_time'),
        ('missing_arrival_time', 'The arrival is missing.', 'arrived_at is null'),
        ('missing_admission_time', 'An inpatient or observation stay has no admission time.', 'is_bed_stay and admitted_at is null'),
        ('ambiguous_local_time', 'The clock shows one of the times twice or never.', 'has_ambiguous_time'),
        ('begins_after_now', 'The encounter begins after now.', 'is_after_now'),
        ('unknown_patient', 'The patient is not in the extracts.', "patient_key = '-1'"),
        ('unknown_department', 'The department is not in the extracts.', "department_key = '-1'"),
        ('unknown_hospital', 'The hospital is not in the extracts.', "hospital_key = '-1'"),
        ('unknown_physician', 'The physician in charge is not in the extracts.', "attending_staff_key = '-1'"),
        ('negative_age', 'The patient arrives before being born.', 'age_years < 0')
    ]),
    (ref('int_bed_stays'), 'bed stays', [
        ('impossible_bed_stay', 'The bed stay ends before it begins.', 'is_impossible_stay'),
        ('unknown_encounter', 'The encounter is not in the extracts.', 'is_orphan'),
        ('inferred_bed_stay', 'The encounter has no usable bed stay; one was inferred.', 'is_inferred'),
        ('unknown_department', 'The department is not in the extracts; that of the bed is taken.', 'is_department_unknown'),
        ('begins_after_now', 'The bed stay begins after now.', 'is_after_now'),
        ('missing_start_time', 'The start is missing.', 'started_at is null')
    ]),
    (ref('int_bed_conflicts'), 'bed stays', [
        ('bed_held_twice', 'Another patient enters the bed before this one has left it.', 'is_conflict')
    ]),
    ("(select * from " ~ ref('dim_patient') ~ " where is_current and patient_id <> 'unknown')", 'patients', [
        ('impossible_dates', 'Birth, registration and death contradict each other or the calendar.', 'has_impossible_dates'),
        ('unreadable_gender', 'The gender is missing or unreadable.', "gender in ('unknown', 'other')"),
        ('damaged_name', 'The name was read in the wrong encoding.', 'has_damaged_name'),
        ('unresolved_merge', 'The chain of merges is circular or too long.', 'is_merge_unresolved')
    ]),
    (ref('fct_appointment'), 'appointments', [
        ('unknown_patient', 'The patient is not in the extracts.', "patient_key = '-1'"),
        ('unknown_physician', 'The physician is not in the extracts.', "physician_staff_key = '-1'"),
        ('unknown_department', 'The department is not in the extracts.', "department_key = '-1'"),
        ('booked_after_scheduled', 'The booking lies after the appointment.', 'is_impossible_booking'),
        ('follow_up_before_scheduled', 'The follow-up lies before the appointment.', 'is_impossible_follow_up')
    ]),
    (ref('fct_billing'), 'bills', [
        ('unknown_patient', 'The patient is not in the extracts.', "patient_key = '-1'"),
        ('missing_final_amount', 'The final amount is missing or not a number.', 'final_amount is null'),
        ('amount_inconsistent', 'Amount less discount plus tax is not the final amount.', 'is_amount_inconsistent'),
        ('overpaid', 'More was paid than owed.', 'is_overpaid'),
        ('paid_before_billed', 'The payment lies before the bill.', 'is_paid_before_billed'),
        ('outside_coverage', 'The bill lies outside the insurance cover.', 'is_outside_coverage')
    ]),
    (ref('fct_claim'), 'claims', [
        ('unknown_payer', 'The payer is not in the extracts.', "payer_key = '-1'"),
        ('unknown_hospital', 'The bill, and with it the hospital, is not in the extracts.', "hospital_key = '-1'"),
        ('adjudicated_before_submitted', 'The decision lies before the submission.', 'is_adjudicated_before_submitted'),
        ('paid_above_billed', 'The payer paid more than claimed.', 'is_paid_above_billed'),
        ('denied_without_code', 'A denial has no code.', 'is_denied and denial_code is null')
    ]),
    (ref('fct_medication'), 'dispensings', [
        ('unknown_patient', 'The patient is not in the extracts.', "patient_key = '-1'"),
        ('unknown_medication', 'The medication is not in the formulary.', "medication_key = '-1'"),
        ('unknown_department', 'The department is not in the extracts.', "department_key = '-1'"),
        ('dispensed_after_now', 'It was dispensed after today.', 'is_after_now'),
        ('missing_quantity', 'The quantity is missing or not a number.', 'quantity is null'),
        ('returned_above_dispensed', 'More came back than went out.', 'is_returned_above_dispensed')
    ]),
    ('(select events.*, clock.as_of_at from ' ~ ref('stg_hospital__adt') ~ ' as events cross join '
        ~ ref('int_clock') ~ ' as clock)', 'events', [
        ('occurs_after_now', 'The event occurs after now.', 'occurred_at > as_of_at'),
        ('recorded_before_occurring', 'The event was recorded before it occurred.', 'recorded_at < occurred_at'),
        ('missing_occurrence_time', 'The time of the event is missing.', 'occurred_at is null')
    ]),
    ('(select message_key, count(*) over (partition by event_id) > 1 as has_id_of_another from (select distinct message_key, event_id from '
        ~ ref('stg_hl7__messages') ~ ') as numbered)', 'messages', [
        ('id_used_again', 'Another message of the sender has the same number (MSH-10) and other content. Both count.', 'has_id_of_another')
    ]),
    (ref('fct_attendance'), 'shifts', [
        ('unknown_staff', 'The person is not in the extracts.', "staff_key = '-1'"),
        ('impossible_clock', 'Clocking out lies before clocking in.', 'is_impossible_clock'),
        ('clock_out_missing', 'Somebody clocked in and never out.', 'is_clock_out_missing')
    ])
] -%}
-- What is wrong in the rows that reached the star schema: one row per rule and table. What staging withholds is not among them
-- (see system.rule_results); broken rows that got through stay in the tables, flagged, and are counted here. Every table is read
-- once: its counts make one row, which is spread over its rules.

{% for relation, entity, checks in rules -%}
select
    '{{ entity }}' as entity,
    names.rule,
    names.description,
    counts.rows_checked,
    case names.rule
        {%- for rule, description, condition in checks %}
        when '{{ rule }}' then counts.broken_{{ rule }}
        {%- endfor %}
    end as rows_broken
from (
    select
        count(*) as rows_checked,
        {%- for rule, description, condition in checks %}
        count(*) filter (where {{ condition }}) as broken_{{ rule }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ relation }} as checked
) as counts
cross join (
    values
    {%- for rule, description, condition in checks %}
    ('{{ rule }}', '{{ description }}'){{ ',' if not loop.last }}
    {%- endfor %}
) as names(rule, description)
union all
{% endfor -%}
select
    entity,
    'untyped_' || column_name as rule,
    'The text is no value of its type.' as description,
    values_filled as rows_checked,
    values_untyped as rows_broken
from {{ ref('int_untyped_values') }}
union all
select
    'patients' as entity,
    'possible_duplicate' as rule,
    'Another record is of the same person, by number or decision.' as description,
    patients.rows_checked,
    duplicates.rows_broken
from (select count(*) as rows_checked from {{ ref('dim_patient') }} where is_current) as patients
cross join (select count(*) as rows_broken from {{ ref('list_duplicate_patients') }}) as duplicates
