-- Instantaneous occupancy by age band. Every group is divided by all staffed beds of the hospital, so that the groups' rates
-- add up to the hospital's rate and to nothing else; the share is of the patients in a bed.

with beds as (

    select hospital_id, cast(sum(staffed_beds) as bigint) as staffed_beds
    from {{ ref('dim_department') }}
    where is_current
        and is_inpatient_department
    group by hospital_id

),

in_bed as (

    select
        departments.hospital_id,
        {{ age_band(age_years('patients.date_of_birth', 'clock.as_of_date')) }} as age_band
    from {{ ref('int_bed_stays') }} as stays
    inner join {{ ref('dim_department') }} as departments
        on stays.department_id = departments.department_id
        and departments.is_current
        and departments.is_inpatient_department
    cross join {{ ref('int_clock') }} as clock
    left join {{ ref('dim_patient') }} as patients on stays.patient_id = patients.patient_id and patients.is_current
    where stays.is_counted
        and stays.is_open
        and not stays.is_cot

),

grouped as (

    select hospital_id, age_band, count(*) as patients_in_bed
    from in_bed
    group by hospital_id, age_band

),

totals as (

    select hospital_id, count(*) as all_patients_in_bed
    from in_bed
    group by hospital_id

)

select
    grouped.hospital_id,
    grouped.age_band,
    clock.as_of_at,
    grouped.patients_in_bed,
    totals.all_patients_in_bed,
    beds.staffed_beds,
    {{ ratio('grouped.patients_in_bed', 'beds.staffed_beds') }} as occupancy_rate,
    {{ ratio('grouped.patients_in_bed', 'totals.all_patients_in_bed') }} as share_of_patients
from grouped
inner join totals on grouped.hospital_id = totals.hospital_id
inner join beds on grouped.hospital_id = beds.hospital_id
cross join {{ ref('int_clock') }} as clock
