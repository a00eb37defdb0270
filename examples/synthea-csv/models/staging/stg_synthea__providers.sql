-- One row per provider.
select
    nullif("Id", '') as id,
    nullif("ORGANIZATION", '') as organization_id,
    nullif("NAME", '') as name,
    nullif("GENDER", '') as gender,
    nullif("SPECIALITY", '') as specialty,
    nullif("ADDRESS", '') as address,
    nullif("CITY", '') as city,
    nullif("STATE", '') as state,
    nullif("ZIP", '') as zip,
    nullif("LAT", '') as lat,
    nullif("LON", '') as lon,
    try_cast("UTILIZATION" as integer) as utilization
from {{ source('synthea', 'providers') }}
