-- One row per organization.
select
    nullif("Id", '') as id,
    nullif("NAME", '') as name,
    nullif("ADDRESS", '') as address,
    nullif("CITY", '') as city,
    nullif("STATE", '') as state,
    nullif("ZIP", '') as zip,
    nullif("LAT", '') as lat,
    nullif("LON", '') as lon,
    nullif("PHONE", '') as phone,
    try_cast("REVENUE" as decimal(18,2)) as revenue,
    try_cast("UTILIZATION" as integer) as utilization
from {{ source('synthea', 'organizations') }}
