//! Bills and claims: what an ended encounter costs, who pays, and when.

use crate::catalog::DENIALS;
use crate::chance::Chance;
use crate::clock::{Clock, DAY};
use crate::encounter::{Class, Encounter};
use crate::site::Site;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    SubmitClaim,
    Adjudicate,
    PatientPays,
    /// Nothing more will happen: paid, or given up.
    Nothing,
}

/// A claim to the payer of the patient's cover.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub payer: usize,
    pub submitted_at: i64,
    pub billed_cents: i64,
    pub allowed_cents: Option<i64>,
    pub paid_cents: Option<i64>,
    /// Position in the catalogue of denials.
    pub denial: Option<usize>,
    pub adjudicated_at: Option<i64>,
    pub updated_at: i64,
}

impl Claim {
    pub(crate) fn status(&self) -> &'static str {
        match (self.adjudicated_at, self.denial) {
            (None, _) => "submitted",
            (Some(_), Some(_)) => "denied",
            (Some(_), None) => "paid",
        }
    }
}

/// The bill of one encounter; `final_amount` is amount − discount + tax to the cent.
#[derive(Debug, Clone)]
pub(crate) struct Bill {
    pub encounter: u64,
    pub patient: usize,
    /// Position in the patient's covers.
    pub insurance: Option<usize>,
    pub bill_day: i32,
    pub amount_cents: i64,
    pub discount_cents: i64,
    pub tax_cents: i64,
    pub paid_cents: i64,
    pub payment_day: Option<i32>,
    pub payment_method: &'static str,
    pub updated_at: i64,
    pub claim: Option<Claim>,
    next: Next,
    next_day: i32,
}

impl Bill {
    pub(crate) fn final_cents(&self) -> i64 {
        self.amount_cents - self.discount_cents + self.tax_cents
    }

    pub(crate) fn status(&self) -> &'static str {
        match self.paid_cents {
            0 => "open",
            paid if paid < self.final_cents() => "partial",
            _ => "paid",
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.next == Next::Nothing
    }
}

/// Bills of one hospital that something can still happen to.
#[derive(Default)]
pub(crate) struct Ledger {
    pub bills: Vec<Bill>,
}

impl Ledger {
    /// Bills an ended encounter; who left without being seen is not billed.
    pub(crate) fn bill(&mut self, site: &Site, chance: &mut Chance, clock: &Clock, encounter: &Encounter) {
        let Some(discharged_at) = encounter.discharged_at.filter(|_| encounter.disposition != "lwbs") else { return };
        let start = encounter.admitted_at.unwrap_or(encounter.arrived_at);
        let days = (discharged_at - start) as f64 / DAY as f64;
        let median = match encounter.class {
            Class::Outpatient => 18_000.0,
            Class::Emergency => 95_000.0,
            Class::Observation => 210_000.0 + 90_000.0 * days,
            Class::Inpatient if encounter.admission_type == "newborn" => 120_000.0,
            Class::Inpatient => 420_000.0 + 240_000.0 * days + if encounter.was_in_icu { 900_000.0 } else { 0.0 },
        };
        let amount = chance.lognormal(median, 0.35) as i64;
        let discount = if chance.yes(0.4) { (amount as f64 * chance.between(0.02, 0.15)) as i64 } else { 0 };
        let patient = &site.patients[encounter.patient];
        let day = clock.local_day(discharged_at) + 1 + chance.below(3) as i32;
        self.bills.push(Bill {
            encounter: encounter.number,
            patient: encounter.patient,
            insurance: patient.insurances.len().checked_sub(1),
            bill_day: day,
            amount_cents: amount,
            discount_cents: discount,
            tax_cents: ((amount - discount) as f64 * 0.02) as i64,
            paid_cents: 0,
            payment_day: None,
            payment_method: "",
            // Not yet issued: it enters the extracts on `bill_day`.
            updated_at: clock.instant(day, 8 * 3_600 + chance.below(36_000) as i64),
            claim: None,
            next: if patient.insurances.is_empty() { Next::PatientPays } else { Next::SubmitClaim },
            next_day: day + chance.below(3) as i32 + i32::from(patient.insurances.is_empty()) * 10,
        });
    }

    /// Does what is due on a local day.
    pub(crate) fn run(&mut self, site: &Site, chance: &mut Chance, clock: &Clock, day: i32) {
        for bill in &mut self.bills {
            while bill.next != Next::Nothing && bill.next_day <= day {
                advance(bill, site, chance, clock);
            }
        }
    }
}

fn advance(bill: &mut Bill, site: &Site, chance: &mut Chance, clock: &Clock) {
    let day = bill.next_day;
    // Never before the bill itself was issued that morning.
    let at = clock.instant(day, 9 * 3_600 + chance.below(32_400) as i64).max(bill.updated_at + 60);
    match bill.next {
        Next::SubmitClaim => {
            let insurance = bill.insurance.and_then(|index| site.patients[bill.patient].insurances.get(index));
            bill.claim = insurance.map(|insurance| Claim {
                payer: insurance.payer,
                submitted_at: at,
                billed_cents: bill.final_cents(),
                allowed_cents: None,
                paid_cents: None,
                denial: None,
                adjudicated_at: None,
                updated_at: at,
            });
            bill.next = if bill.claim.is_some() { Next::Adjudicate } else { Next::PatientPays };
            bill.next_day = day + 2 + chance.lognormal(5.0, 0.5).min(40.0) as i32;
        }
        Next::Adjudicate => {
            if let Some(claim) = &mut bill.claim {
                claim.adjudicated_at = Some(at);
                claim.updated_at = at;
                if chance.yes(0.11) {
                    claim.denial = Some(chance.below(DENIALS.len()));
                    claim.allowed_cents = Some(0);
                    claim.paid_cents = Some(0);
                } else {
                    let allowed = (claim.billed_cents as f64 * chance.between(0.7, 1.0)) as i64;
                    let paid = (allowed as f64 * chance.between(0.8, 1.0)) as i64;
                    claim.allowed_cents = Some(allowed);
                    claim.paid_cents = Some(paid);
                    pay(bill, paid, "insurance", day, at);
                }
            }
            bill.next = Next::PatientPays;
            bill.next_day = day + 4 + chance.below(18) as i32;
        }
        Next::PatientPays => {
            let left = bill.final_cents() - bill.paid_cents;
            if chance.yes(0.8) && left > 0 {
                let method = chance.pick(&["card", "cash", "transfer"]);
                let part = if chance.yes(0.85) { left } else { left / 2 };
                pay(bill, part, method, day, at);
            }
            bill.next = Next::Nothing;
        }
        Next::Nothing => {}
    }
}

fn pay(bill: &mut Bill, cents: i64, method: &'static str, day: i32, at: i64) {
    if cents > 0 {
        bill.paid_cents += cents;
        bill.payment_day = Some(day);
        bill.payment_method = method;
        bill.updated_at = at;
    }
}
