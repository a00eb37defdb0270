-- One row per department and local day that is over: beds, patients at the midnight that ends the day, and who came and went.
-- Patients are inpatients and observation patients in a bed; `inpatients_…` leaves observation out. Well-baby cots are counted
-- apart (KH03).

with beds as (

    select * from {{ ref('int_staffed_beds') }}

),

bed_days as (

    select
        department_id,
        bed_date,
        count(*) filter (where is_midnight_census and not is_cot) as patients_at_midnight,
        count(*) filter (where is_midnight_census and not is_cot and is_inpatient) as inpatients_at_midnight,
        count(*) filter (where is_midnight_census and is_cot) as cots_at_midnight,
        count(*) filter (where not is_midnight_census and not is_cot and is_inpatient) as same_day_inpatients,
        count(*) filter (where not is_cot and is_inpatient) as inpatient_bed_days
    from {{ ref('fct_bed_day') }}
    group by department_id, bed_date

),

stays as (

    select
        encounters.encounter_id,
        encounters.admission_date,
        encounters.discharge_date,
        encounters.los_days,
        departments.admitting_department_id,
        departments.discharging_department_id
    from {{ ref('fct_patient_flow') }} as encounters
    inner join {{ ref('int_encounter_departments') }} as departments
        on encounters.encounter_id = departments.encounter_id
    where encounters.is_inpatient
        and encounters.is_counted

),

admissions as (

    select admitting_department_id as department_id, admission_date as event_date, count(*) as admissions
    from stays
    group by admitting_department_id, admission_date

),

discharges as (

    select
        discharging_department_id as department_id,
        discharge_date as event_date,
        count(*) as discharges,
        cast(sum(los_days) as bigint) as discharged_los_days
    from stays
    where discharge_date is not null
    group by discharging_department_id, discharge_date

),

transfers_in as (

    select to_department_id as department_id, transfer_date as event_date, count(*) as transfers_in
    from {{ ref('int_department_transfers') }}
    where is_inpatient
    group by to_department_id, transfer_date

),

transfers_out as (

    select from_department_id as department_id, transfer_date as event_date, count(*) as transfers_out
    from {{ ref('int_department_transfers') }}
    where is_inpatient
    group by from_department_id, transfer_date

)

select
    beds.department_key,
    beds.department_id,
    beds.hospital_id,
    departments.department_name,
    beds.department_type,
    departments.is_inpatient_department,
    beds.date_day as census_date,
    beds.staffed_beds,
    coalesce(bed_days.patients_at_midnight, 0) as patients_at_midnight,
    coalesce(bed_days.inpatients_at_midnight, 0) as inpatients_at_midnight,
    coalesce(bed_days.cots_at_midnight, 0) as cots_at_midnight,
    coalesce(bed_days.same_day_inpatients, 0) as same_day_inpatients,
    coalesce(bed_days.inpatients_at_midnight, 0) + coalesce(bed_days.same_day_inpatients, 0) as daily_census,
    coalesce(bed_days.inpatient_bed_days, 0) as inpatient_bed_days,
    coalesce(admissions.admissions, 0) as admissions,
    coalesce(discharges.discharges, 0) as discharges,
    coalesce(discharges.discharged_los_days, 0) as discharged_los_days,
    coalesce(transfers_in.transfers_in, 0) as transfers_in,
    coalesce(transfers_out.transfers_out, 0) as transfers_out
from beds
inner join {{ ref('dim_department') }} as departments on beds.department_key = departments.department_key
left join bed_days on beds.department_id = bed_days.department_id and beds.date_day = bed_days.bed_date
left join admissions on beds.department_id = admissions.department_id and beds.date_day = admissions.event_date
left join discharges on beds.department_id = discharges.department_id and beds.date_day = discharges.event_date
left join transfers_in on beds.department_id = transfers_in.department_id and beds.date_day = transfers_in.event_date
left join transfers_out on beds.department_id = transfers_out.department_id and beds.date_day = transfers_out.event_date
