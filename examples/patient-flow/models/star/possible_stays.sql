-- The stays that can be: impossible ones are withheld by the expectation in models.yml.
select * from {{ ref('fact_patient_flow') }}
