-- Both records of a link belong to one person.

select links.patient_id_a, links.patient_id_b
from {{ ref('int_identity_links') }} as links
left join {{ ref('int_person') }} as one on links.patient_id_a = one.patient_id
left join {{ ref('int_person') }} as other on links.patient_id_b = other.patient_id
where coalesce(one.person_id <> other.person_id, true)
