{#- Each figure: name, unit, definition in short, numerator, denominator and rows they are taken from. -#}
{%- set figures = [
    ('bed_occupancy', 'ratio', 'patients in a bed of an inpatient department ÷ staffed beds, now',
        'patients_in_bed', 'staffed_beds', 'occupancy'),
    ('inpatient_occupancy_midnight', 'ratio', 'inpatients at the last midnight ÷ staffed beds',
        'inpatients_at_midnight', 'staffed_beds', 'last_census'),
    ('inpatients', 'patients', 'inpatients in a bed of an inpatient department, now', 'inpatients_in_bed', none, 'occupancy'),
    ('admissions', 'admissions', 'inpatient admissions of the last full day', 'admissions', none, 'last_census'),
    ('discharges', 'discharges', 'inpatient discharges of the last full day', 'discharges', none, 'last_census'),
    ('transfers', 'transfers', 'transfers between departments of the last full day', 'transfers_in', none, 'last_census'),
    ('patients_in_ed', 'patients', 'patients in the emergency department, now', 'in_ed', none, 'ed_now'),
    ('boarders', 'patients', 'patients in the emergency department with a decision to admit, now', 'boarders', none, 'ed_now'),
    ('left_without_being_seen', 'ratio', 'left before evaluation ÷ ED arrivals, last 30 days',
        'left_without_being_seen', 'arrivals', 'ed_recent'),
    ('average_length_of_stay', 'days', 'days of discharged inpatients ÷ discharges, last 30 days',
        'los_days', 'discharges', 'discharged_recent'),
    ('discharge_before_noon', 'ratio', 'live discharges before noon ÷ live discharges, last 30 days',
        'before_noon', 'live_discharges', 'discharged_recent'),
    ('overstaying', 'ratio', 'inpatients past their expected day ÷ inpatients with one, now',
        'overstaying', 'with_expected', 'overstay'),
    ('no_show', 'ratio', 'did not attend ÷ (attended + did not attend), last 30 days', 'no_shows', 'kept_or_missed', 'visits'),
    ('claim_denial', 'ratio', 'denied ÷ submitted claims, last 90 days', 'denied_claims', 'submitted_claims', 'claims'),
    ('days_in_receivable', 'days', 'owed ÷ average daily revenue', 'receivable_amount', 'average_daily_revenue', 'receivable')
] -%}
-- The day's key figures of the whole network, one per row. A ratio is its numerator over its denominator, both taken over the
-- network; none is an average of ratios.

with occupancy as (

    select
        cast(sum(patients_in_bed) as bigint) as patients_in_bed,
        cast(sum(inpatients_in_bed) as bigint) as inpatients_in_bed,
        cast(sum(staffed_beds) as bigint) as staffed_beds
    from {{ ref('kpi_occupancy_now') }}

),

last_census as (

    select
        cast(sum(inpatients_at_midnight) as bigint) as inpatients_at_midnight,
        cast(sum(staffed_beds) as bigint) as staffed_beds,
        cast(sum(admissions) as bigint) as admissions,
        cast(sum(discharges) as bigint) as discharges,
        cast(sum(transfers_in) as bigint) as transfers_in
    from {{ ref('mart_operational__daily_census') }}
    cross join {{ ref('int_clock') }} as clock
    where is_inpatient_department
        and census_date = {{ add_days('clock.as_of_date', -1) }}

),

ed_now as (

    select
        count(*) as in_ed,
        count(*) filter (where is_admission_decided) as boarders
    from {{ ref('mart_clinical__ed_visits') }}
    where is_in_ed

),

ed_recent as (

    select
        count(*) filter (where is_left_without_being_seen) as left_without_being_seen,
        count(*) as arrivals
    from {{ ref('mart_clinical__ed_visits') }}
    cross join {{ ref('int_clock') }} as clock
    where arrival_date > {{ add_days('clock.as_of_date', -30) }}

),

discharged_recent as (

    select
        cast(sum(los_days) as bigint) as los_days,
        count(*) as discharges,
        count(*) filter (where is_discharged_before_noon) as before_noon,
        count(is_discharged_before_noon) as live_discharges
    from {{ ref('mart_clinical__length_of_stay') }}
    cross join {{ ref('int_clock') }} as clock
    where discharge_date > {{ add_days('clock.as_of_date', -30) }}

),

overstay as (

    select
        count(*) filter (where expected_discharge_date < clock.as_of_date) as overstaying,
        count(expected_discharge_date) as with_expected
    from {{ ref('fct_patient_flow') }}
    cross join {{ ref('int_clock') }} as clock
    where is_in_hospital
        and is_inpatient

),

visits as (

    select
        count(*) filter (where is_no_show) as no_shows,
        count(*) filter (where is_no_show or is_attended) as kept_or_missed
    from {{ ref('fct_appointment') }}
    cross join {{ ref('int_clock') }} as clock
    where is_due
        and not is_cancelled
        and scheduled_date > {{ add_days('clock.as_of_date', -30) }}

),

claims as (

    select
        count(*) filter (where is_denied) as denied_claims,
        count(*) as submitted_claims
    from {{ ref('fct_claim') }}
    cross join {{ ref('int_clock') }} as clock
    where submitted_at <= clock.as_of_at
        and submitted_date > {{ add_days('clock.as_of_date', -90) }}

),

receivable as (

    select
        sum(receivable_amount) as receivable_amount,
        sum(average_daily_revenue) as average_daily_revenue
    from {{ ref('kpi_days_in_receivable') }}

),

figures as (

    {% for name, unit, definition, numerator, denominator, rows in figures -%}
    select
        {{ loop.index }} as figure_number,
        '{{ name }}' as figure,
        '{{ unit }}' as unit,
        '{{ definition }}' as definition,
        cast({{ numerator }} as double) as numerator,
        cast({{ denominator if denominator is not none else 'null' }} as double) as denominator,
        {% if denominator is not none -%}
        {{ ratio(numerator, denominator) }} as figure_value
        {%- else -%}
        cast({{ numerator }} as double) as figure_value
        {%- endif %}
    from {{ rows }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select
    figures.figure_number,
    figures.figure,
    figures.figure_value,
    figures.unit,
    figures.numerator,
    figures.denominator,
    figures.definition,
    clock.as_of_at,
    clock.as_of_local_at
from figures
cross join {{ ref('int_clock') }} as clock
order by figures.figure_number
