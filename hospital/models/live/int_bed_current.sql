-- One row per event of the current version of each encounter that is open or was lately: what is believed now. The ledger keeps
-- the others.

{{ bed_current_rows(ref('int_bed_recent')) }}
