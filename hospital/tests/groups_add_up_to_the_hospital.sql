-- The patients of all genders, and of all age bands, are the patients in a bed.

with hospitals as (

    select hospital_id, cast(sum(patients_in_bed) as bigint) as patients
    from {{ ref('kpi_occupancy_now') }}
    group by hospital_id

),

by_gender as (

    select hospital_id, cast(sum(patients_in_bed) as bigint) as patients
    from {{ ref('kpi_occupancy_by_gender') }}
    group by hospital_id

),

by_age_band as (

    select hospital_id, cast(sum(patients_in_bed) as bigint) as patients
    from {{ ref('kpi_occupancy_by_age_band') }}
    group by hospital_id

)

select hospitals.hospital_id, hospitals.patients, by_gender.patients as gender_patients, by_age_band.patients as age_band_patients
from hospitals
left join by_gender on hospitals.hospital_id = by_gender.hospital_id
left join by_age_band on hospitals.hospital_id = by_age_band.hospital_id
where hospitals.patients <> coalesce(by_gender.patients, 0)
    or hospitals.patients <> coalesce(by_age_band.patients, 0)
