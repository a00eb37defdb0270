-- The export's visits per class.
select expected.encounter_class, expected.encounters, actual.encounters as found
from (
    select 'wellness' as encounter_class, 348 as encounters
    union all select 'ambulatory', 174
    union all select 'outpatient', 52
    union all select 'emergency', 17
    union all select 'inpatient', 11
    union all select 'urgentcare', 2
) as expected
left join {{ ref('mart_encounters_by_class') }} as actual on expected.encounter_class = actual.encounter_class
where coalesce(actual.encounters, 0) <> expected.encounters
