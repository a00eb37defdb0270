-- Exactly one version of each patient is the current one.
select patient_key, sum(case when is_current then 1 else 0 end) as current_versions
from {{ ref('dim_patient') }}
group by patient_key
having sum(case when is_current then 1 else 0 end) <> 1
