-- Boarding in the emergency department, per hospital and day of arrival.

select
    hospital_id,
    hospital_name,
    arrival_date,
    count(*) filter (where is_admission_decided) as admission_decisions,
    count(boarding_minutes) as boarded_visits,
    sum(boarding_minutes) as boarding_minutes,
    {{ ratio('sum(boarding_minutes)', 'count(boarding_minutes)') }} as average_boarding_minutes,
    {{ percentile('boarding_minutes', 0.5) }} as median_boarding_minutes,
    {{ percentile('boarding_minutes', 0.9) }} as p90_boarding_minutes,
    count(*) filter (where boarding_minutes > 120) as boarded_over_2h_visits,
    {{ ratio('count(*) filter (where boarding_minutes > 120)', 'count(boarding_minutes)') }} as boarded_over_2h_rate,
    count(*) filter (where boarding_minutes > 240) as boarded_over_4h_visits,
    {{ ratio('count(*) filter (where boarding_minutes > 240)', 'count(boarding_minutes)') }} as boarded_over_4h_rate
from {{ ref('mart_clinical__ed_visits') }}
group by hospital_id, hospital_name, arrival_date
