//! What staff do each day: shifts, and medications given to who lies in a bed or goes home.

use crate::catalog::{DIAGNOSES, MEDICATIONS};
use crate::chance::Chance;
use crate::clock::{self, Clock, Downtimes, HOUR};
use crate::encounter::{Class, Encounter};
use crate::site::{Job, Kind, Site};

/// One planned shift of one person.
#[derive(Debug, Clone)]
pub(crate) struct Shift {
    pub number: u64,
    pub worker: usize,
    pub day: i32,
    pub kind: &'static str,
    pub starts_at: i64,
    pub ends_at: i64,
    pub clock_in_at: Option<i64>,
    /// Known once the shift is over.
    pub clock_out_at: Option<i64>,
    pub status: &'static str,
}

/// Medication given out.
#[derive(Debug, Clone)]
pub(crate) struct Dispense {
    pub number: u64,
    pub encounter: u64,
    pub patient: usize,
    pub department: usize,
    pub medication: usize,
    pub prescriber: usize,
    pub quantity: usize,
    pub returned: usize,
    pub at: i64,
}

/// Shifts and medications of one hospital.
#[derive(Default)]
pub(crate) struct Rounds {
    shifts: u64,
    dispenses: u64,
    /// Night shifts that end tomorrow.
    nights: Vec<Shift>,
}

impl Rounds {
    /// The day's attendance rows: yesterday's nights, now ended, and today's shifts.
    pub(crate) fn shifts(&mut self, site: &Site, chance: &mut Chance, clock: &Clock, day: i32) -> Vec<Shift> {
        let mut shifts = std::mem::take(&mut self.nights);
        for (index, worker) in site.staff.iter().enumerate() {
            let is_here = worker.hired <= day && worker.left.is_none_or(|left| left > day);
            let is_on = chance.yes(if clock::is_weekday(day) { 0.72 } else { 0.45 });
            if !is_here || !is_on {
                continue;
            }
            let stays_open = site.departments[worker.department].kind != Kind::Outpatient;
            let nights = if worker.job != Job::Employee && stays_open { 0.25 } else { 0.0 };
            let (kind, hour) = [("day", 7), ("evening", 15), ("night", 23)][chance.weighted(&[0.5, 0.25, nights])];
            let starts_at = clock.instant(day, hour * HOUR);
            let ends_at = starts_at + 8 * HOUR;
            self.shifts += 1;
            let mut shift = Shift {
                number: self.shifts,
                worker: index,
                day,
                kind,
                starts_at,
                ends_at,
                clock_in_at: None,
                clock_out_at: None,
                status: "absent",
            };
            if !chance.yes(0.04) {
                let is_late = chance.yes(0.08);
                let delay = if is_late { chance.minutes(6.0, 50.0) } else { chance.minutes(-12.0, 4.0) };
                shift.status = if is_late { "late" } else { "worked" };
                shift.clock_in_at = Some(starts_at + delay);
                let clock_out_at = Some(ends_at + chance.minutes(-5.0, 40.0));
                if kind == "night" {
                    self.nights.push(Shift { clock_out_at, ..shift.clone() });
                } else {
                    shift.clock_out_at = clock_out_at;
                }
            }
            shifts.push(shift);
        }
        shifts
    }

    /// Medications of one encounter in `from..until`.
    pub(crate) fn dispenses(
        &mut self,
        site: &Site,
        chance: &mut Chance,
        encounter: &Encounter,
        (from, until): (i64, i64),
        downtimes: &Downtimes,
    ) -> Vec<Dispense> {
        let start = encounter.admitted_at.or(encounter.provider_seen_at).unwrap_or(until).max(from);
        let end = encounter.discharged_at.unwrap_or(until).min(until);
        let Some(diagnosis) = encounter.diagnosis.filter(|_| start < end) else { return Vec::new() };
        let share = match encounter.class {
            Class::Outpatient => 0.15,
            Class::Emergency => 0.45,
            Class::Observation | Class::Inpatient => 0.8,
        };
        let department = encounter.movements.last().map_or(encounter.department, |last| site.beds[last.bed].department);
        let mut given = Vec::new();
        for medication in DIAGNOSES[diagnosis].medications.iter().copied().filter(|index| *index < MEDICATIONS.len()) {
            if !chance.yes(share) {
                continue;
            }
            self.dispenses += 1;
            let quantity = 1 + chance.weighted(&[0.5, 0.3, 0.15, 0.05]);
            given.push(Dispense {
                number: self.dispenses,
                encounter: encounter.number,
                patient: encounter.patient,
                department,
                medication,
                prescriber: encounter.physician,
                quantity,
                returned: if chance.yes(0.03) { chance.below(quantity + 1) } else { 0 },
                at: downtimes.after(start + chance.below((end - start) as usize) as i64),
            });
        }
        given
    }
}
