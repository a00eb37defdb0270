-- Every message as it was received, with its columns as text. Where none was ever received there is no table to read, and this
-- has no rows.

{{ config(materialized='view') }}

{{ hl7_messages() }}
