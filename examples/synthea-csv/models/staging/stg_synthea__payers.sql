-- One row per payer.
select
    nullif("Id", '') as id,
    nullif("NAME", '') as name,
    nullif("ADDRESS", '') as address,
    nullif("CITY", '') as city,
    nullif("STATE_HEADQUARTERED", '') as state_headquartered,
    nullif("ZIP", '') as zip,
    nullif("PHONE", '') as phone,
    try_cast("AMOUNT_COVERED" as decimal(18,2)) as amount_covered,
    try_cast("AMOUNT_UNCOVERED" as decimal(18,2)) as amount_uncovered,
    try_cast("REVENUE" as decimal(18,2)) as revenue,
    try_cast("COVERED_ENCOUNTERS" as integer) as covered_encounters,
    try_cast("UNCOVERED_ENCOUNTERS" as integer) as uncovered_encounters,
    try_cast("COVERED_MEDICATIONS" as integer) as covered_medications,
    try_cast("UNCOVERED_MEDICATIONS" as integer) as uncovered_medications,
    try_cast("COVERED_PROCEDURES" as integer) as covered_procedures,
    try_cast("UNCOVERED_PROCEDURES" as integer) as uncovered_procedures,
    try_cast("COVERED_IMMUNIZATIONS" as integer) as covered_immunizations,
    try_cast("UNCOVERED_IMMUNIZATIONS" as integer) as uncovered_immunizations,
    try_cast("UNIQUE_CUSTOMERS" as integer) as unique_customers,
    nullif("QOLS_AVG", '') as qols_avg,
    try_cast("MEMBER_MONTHS" as integer) as member_months
from {{ source('synthea', 'payers') }}
