-- One row per claim.

with claims as (

    select
        claims.*,
        bills.hospital_id,
        bills.encounter_id as billed_encounter_id
    from {{ ref('stg_hospital__claims') }} as claims
    left join {{ ref('stg_hospital__billing') }} as bills on claims.bill_id = bills.bill_id

)

select
    claims.claim_id,
    coalesce(patients.patient_key, {{ unknown_key() }}) as patient_key,
    coalesce(hospitals.hospital_key, {{ unknown_key() }}) as hospital_key,
    coalesce(payers.payer_key, {{ unknown_key() }}) as payer_key,
    claims.bill_id,
    coalesce(claims.encounter_id, claims.billed_encounter_id) as encounter_id,
    claims.patient_id,
    claims.hospital_id,
    claims.payer_id,
    claims.status,
    claims.denial_code,
    claims.denial_reason,
    claims.billed_amount,
    claims.allowed_amount,
    claims.paid_amount,
    case when claims.status = 'denied' then coalesce(claims.billed_amount, 0) else cast(0 as decimal(18,2)) end as denied_amount,
    case
        when claims.adjudicated_date >= claims.submitted_date
        then {{ dbt.datediff('claims.submitted_date', 'claims.adjudicated_date', 'day') }}
    end as days_to_adjudication,
    coalesce(claims.status = 'denied', false) as is_denied,
    claims.adjudicated_at is not null or coalesce(claims.status in ('paid', 'denied'), false) as is_adjudicated,
    coalesce(claims.adjudicated_at < claims.submitted_at, false) as is_adjudicated_before_submitted,
    coalesce(claims.paid_amount > claims.billed_amount, false) as is_paid_above_billed,
    claims.submitted_at,
    claims.adjudicated_at,
    claims.submitted_date,
    claims.adjudicated_date,
    claims.source_file,
    claims.source_position
from claims
left join {{ ref('dim_patient') }} as patients
    on claims.patient_id = patients.patient_id
    and {{ held_at('patients', 'claims.submitted_at') }}
left join {{ ref('dim_hospital') }} as hospitals on claims.hospital_id = hospitals.hospital_id
left join {{ ref('dim_payer') }} as payers on claims.payer_id = payers.payer_id
