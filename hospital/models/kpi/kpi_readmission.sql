-- Crude readmission within 30 days, per hospital and month of the index discharge. A stay is held back until its 30 days have passed.

with stays as (

    select
        flow.encounter_id,
        flow.hospital_id,
        patients.master_patient_id,
        flow.admission_type,
        flow.discharge_disposition,
        flow.stay_started_at,
        flow.discharged_at,
        flow.discharge_date,
        lead(flow.stay_started_at) over (
            partition by patients.master_patient_id order by flow.stay_started_at, flow.encounter_id
        ) as next_started_at,
        lead(flow.admission_type) over (
            partition by patients.master_patient_id order by flow.stay_started_at, flow.encounter_id
        ) as next_admission_type
    from {{ ref('fct_patient_flow') }} as flow
    inner join {{ ref('dim_patient') }} as patients on flow.patient_key = patients.patient_key
    where flow.is_inpatient
        and flow.is_counted
        and patients.patient_id <> 'unknown'

),

index_stays as (

    select
        stays.hospital_id,
        {{ month_of('stays.discharge_date') }} as discharge_month,
        coalesce(
            stays.next_admission_type = 'emergency'
            and stays.next_started_at <= {{ dbt.dateadd('day', 30, 'stays.discharged_at') }},
            false
        ) as is_readmitted
    from stays
    cross join {{ ref('int_clock') }} as clock
    where stays.discharged_at is not null
        and coalesce(stays.discharge_disposition, 'unknown') not in ('transfer', 'ama', 'died')
        and stays.admission_type <> 'newborn'
        and (stays.next_started_at is null or stays.next_started_at >= stays.discharged_at)
        and {{ dbt.dateadd('day', 30, 'stays.discharged_at') }} <= clock.as_of_at

)

select
    hospital_id,
    discharge_month,
    count(*) filter (where is_readmitted) as readmissions,
    count(*) as index_stays,
    {{ ratio('count(*) filter (where is_readmitted)', 'count(*)') }} as readmission_rate
from index_stays
group by hospital_id, discharge_month
