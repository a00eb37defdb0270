-- Codes of the list; the nameless second column is empty and left behind.
select distinct trim(code) as code
from {{ source('hms_list', 'lists') }}
where nullif(trim(code), '') is not null
