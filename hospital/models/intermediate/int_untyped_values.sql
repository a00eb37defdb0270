{#- Per source table: the columns whose text has to become a number, a date or a time. -#}
{%- set typed_columns = {
    'hospitals': {'bed_count': 'integer', 'opened_date': 'date'},
    'departments': {'staffed_beds': 'integer', 'updated_at': 'timestamp'},
    'patients': {
        'date_of_birth': 'date', 'registered_at': 'timestamp', 'deceased_date': 'date', 'updated_at': 'timestamp'
    },
    'encounters': {
        'arrived_at': 'timestamp', 'triaged_at': 'timestamp', 'triage_level': 'integer', 'provider_seen_at': 'timestamp',
        'admit_decision_at': 'timestamp', 'departed_ed_at': 'timestamp', 'admitted_at': 'timestamp',
        'expected_discharge_date': 'date', 'discharged_at': 'timestamp', 'updated_at': 'timestamp'
    },
    'transfers': {'started_at': 'timestamp', 'ended_at': 'timestamp', 'updated_at': 'timestamp'},
    'adt': {'occurred_at': 'timestamp', 'recorded_at': 'timestamp'},
    'appointments': {
        'booked_at': 'timestamp', 'scheduled_at': 'timestamp', 'duration_minutes': 'integer', 'checked_in_at': 'timestamp',
        'follow_up_date': 'date', 'updated_at': 'timestamp'
    },
    'billing': {
        'bill_date': 'date', 'amount': 'decimal(18,2)', 'discount': 'decimal(18,2)', 'tax': 'decimal(18,2)',
        'final_amount': 'decimal(18,2)', 'amount_paid': 'decimal(18,2)', 'payment_date': 'date', 'updated_at': 'timestamp'
    },
    'insurance': {'premium': 'decimal(18,2)', 'coverage_start_date': 'date', 'coverage_end_date': 'date'},
    'claims': {
        'submitted_at': 'timestamp', 'billed_amount': 'decimal(18,2)', 'allowed_amount': 'decimal(18,2)',
        'paid_amount': 'decimal(18,2)', 'adjudicated_at': 'timestamp', 'updated_at': 'timestamp'
    },
    'medications': {'strength': 'decimal(18,4)', 'ddd': 'decimal(18,4)', 'unit_cost': 'decimal(18,4)'},
    'dispensed': {'quantity': 'decimal(18,2)', 'returned_quantity': 'decimal(18,2)', 'dispensed_at': 'timestamp'},
    'attendance': {
        'shift_date': 'date', 'scheduled_start_at': 'timestamp', 'scheduled_end_at': 'timestamp', 'clock_in_at': 'timestamp',
        'clock_out_at': 'timestamp'
    }
} -%}
-- One row per typed column of bronze: how many values are filled in, and how many of these are none of their type. Staging
-- withholds their rows where it is audited; elsewhere they are NULL from there on. Every table is read once: its counts make one row, which is spread over its columns.

{% for table, columns in typed_columns.items() -%}
select
    '{{ table }}' as entity,
    names.column_name,
    case names.column_name
        {%- for column, type in columns.items() %}
        when '{{ column }}' then counts.filled_{{ column }}
        {%- endfor %}
    end as values_filled,
    case names.column_name
        {%- for column, type in columns.items() %}
        when '{{ column }}' then counts.untyped_{{ column }}
        {%- endfor %}
    end as values_untyped
from (
    select
        {%- for column, type in columns.items() %}
        count(nullif(trim({{ column }}), '')) as filled_{{ column }},
        count(*) filter (
            where nullif(trim({{ column }}), '') is not null and try_cast(trim({{ column }}) as {{ type }}) is null
        ) as untyped_{{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ source('hospital', table) }}
) as counts
cross join (
    values
    {%- for column, type in columns.items() %}
    ('{{ column }}'){{ ',' if not loop.last }}
    {%- endfor %}
) as names(column_name)
{% if not loop.last -%}
union all
{% endif -%}
{% endfor %}
