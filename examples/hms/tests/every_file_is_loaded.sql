-- A file that was not found or not understood has no rows.
select source_name, table_name
from {{ ref('hms_file_rows') }}
where loaded_rows = 0
