-- Hospitals with each physician who works there; hospitals without a physician are left out.
select
    hospitals.hospital_id,
    hospitals.hospital_name,
    hospitals.city,
    hospitals.state,
    hospitals.num_beds,
    hospitals.rating,
    hospitals.hospital_category,
    physicians.physician_id,
    physicians.first_name as physician_first_name,
    physicians.last_name as physician_last_name,
    physicians.specialty,
    physicians.department,
    physicians.years_of_experience,
    physicians.shift_timing
from {{ ref('stg_hms__hospitals') }} as hospitals
inner join {{ ref('stg_hms__physicians') }} as physicians on hospitals.hospital_id = physicians.hospital_id
