-- One row per disease.
select
    nullif(disease_name, '') as disease_name,
    nullif(category, '') as category,
    nullif(body_system, '') as body_system,
    try_cast(is_chronic as boolean) as is_chronic,
    try_cast(is_autoimmune as boolean) as is_autoimmune,
    try_cast(is_infectious as boolean) as is_infectious,
    nullif(infection_type, '') as infection_type,
    try_cast(is_tumor as boolean) as is_tumor,
    try_cast(is_operable as boolean) as is_operable,
    try_cast(is_contagious as boolean) as is_contagious,
    try_cast(is_genetic as boolean) as is_genetic,
    try_cast(is_degenerative as boolean) as is_degenerative,
    try_cast(is_treatable as boolean) as is_treatable,
    try_cast(is_curable as boolean) as is_curable
from {{ source('registry', 'diseases') }}
