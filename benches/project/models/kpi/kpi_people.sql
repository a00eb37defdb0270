-- Stays by gender and twenty years of age.

select
    gender,
    age / 20 * 20 as age_from,
    count(*) as stays,
    avg(length_of_stay_hours) as average_los_hours,
    max(length_of_stay_hours) as longest_los_hours
from {{ ref('fct_patient_flow') }}
group by gender, age / 20 * 20
