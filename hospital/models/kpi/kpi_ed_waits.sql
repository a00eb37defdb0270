-- Waits in the emergency department, per hospital and day of arrival: median and 90th percentile, and how many visits each rests on.

select
    hospital_id,
    hospital_name,
    arrival_date,
    count(*) as arrivals,
    count(arrival_to_triage_minutes) as triage_timed_visits,
    {{ percentile('arrival_to_triage_minutes', 0.5) }} as median_arrival_to_triage_minutes,
    {{ percentile('arrival_to_triage_minutes', 0.9) }} as p90_arrival_to_triage_minutes,
    count(triage_to_provider_minutes) as triage_to_provider_timed_visits,
    {{ percentile('triage_to_provider_minutes', 0.5) }} as median_triage_to_provider_minutes,
    {{ percentile('triage_to_provider_minutes', 0.9) }} as p90_triage_to_provider_minutes,
    count(arrival_to_provider_minutes) as provider_timed_visits,
    {{ percentile('arrival_to_provider_minutes', 0.5) }} as median_arrival_to_provider_minutes,
    {{ percentile('arrival_to_provider_minutes', 0.9) }} as p90_arrival_to_provider_minutes,
    count(provider_to_departure_minutes) as departure_timed_visits,
    {{ percentile('provider_to_departure_minutes', 0.5) }} as median_provider_to_departure_minutes,
    {{ percentile('provider_to_departure_minutes', 0.9) }} as p90_provider_to_departure_minutes,
    count(ed_los_minutes) as los_timed_visits,
    {{ percentile('ed_los_minutes', 0.5) }} as median_ed_los_minutes,
    {{ percentile('ed_los_minutes', 0.9) }} as p90_ed_los_minutes,
    count(*) filter (where ed_los_minutes <= 240) as departed_within_4h_visits,
    {{ ratio('count(*) filter (where ed_los_minutes <= 240)', 'count(ed_los_minutes)') }} as departed_within_4h_rate
from {{ ref('mart_clinical__ed_visits') }}
group by hospital_id, hospital_name, arrival_date
