-- One row per medication and use.
select
    nullif(medication_name, '') as medication_name,
    nullif(generic_name, '') as generic_name,
    nullif(manufacturer, '') as manufacturer,
    nullif("use", '') as used_for
from {{ source('registry', 'pharmaceuticals') }}
