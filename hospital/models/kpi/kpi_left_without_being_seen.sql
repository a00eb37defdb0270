-- Visits to the emergency department that ended before an evaluation, per hospital and day of arrival.

select
    hospital_id,
    hospital_name,
    arrival_date,
    count(*) filter (where is_left_without_being_seen) as left_without_being_seen,
    count(*) as arrivals,
    {{ ratio('count(*) filter (where is_left_without_being_seen)', 'count(*)') }} as left_without_being_seen_rate
from {{ ref('mart_clinical__ed_visits') }}
group by hospital_id, hospital_name, arrival_date
