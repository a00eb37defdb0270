//! Appointments, the clinic visits they become, and who does not come.

use crate::chance::Chance;
use crate::clock::{self, Clock, DAY};
use crate::encounter::{Class, Encounter};
use crate::flow::Flow;
use crate::illness::diagnosis_of;
use crate::site::{Kind, Site};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Booked,
    Attended,
    NoShow,
    Cancelled,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Booked => "booked",
            Self::Attended => "attended",
            Self::NoShow => "no_show",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A booked time with a physician.
#[derive(Debug, Clone)]
pub(crate) struct Appointment {
    pub number: u64,
    pub patient: usize,
    pub physician: usize,
    pub kind: &'static str,
    pub booked_at: i64,
    pub scheduled_at: i64,
    pub minutes: i64,
    pub checked_in_at: Option<i64>,
    pub status: Status,
    pub follow_up: Option<i32>,
    pub updated_at: i64,
}

/// The clinic of one hospital.
#[derive(Default)]
pub(crate) struct Clinic {
    pub appointments: Vec<Appointment>,
    count: u64,
}

/// Clinic visits booked per working day at size 1.
const BOOKED_PER_DAY: f64 = 40.0;
/// How far ahead patients book, in days.
const HORIZON: usize = 21;

impl Clinic {
    /// Fills the calendar of the weeks before the first simulated day.
    pub(crate) fn open(&mut self, site: &mut Site, chance: &mut Chance, clock: &Clock, day: i32) {
        for before in (1..=HORIZON as i32).rev() {
            self.book_day(site, chance, clock, day - before);
        }
        let first = clock.midnight(day);
        self.appointments.retain(|appointment| appointment.scheduled_at >= first);
    }

    /// Takes one local day's bookings, cancellations and visits.
    pub(crate) fn run(&mut self, site: &mut Site, flow: &mut Flow, chance: &mut Chance, clock: &Clock, day: i32) {
        self.book_day(site, chance, clock, day);
        let (from, until) = (clock.midnight(day), clock.midnight(day + 1));
        let mut follow_ups = Vec::new();
        for appointment in &mut self.appointments {
            if appointment.status != Status::Booked {
                continue;
            }
            if appointment.scheduled_at >= until {
                if chance.yes(0.008) {
                    appointment.status = Status::Cancelled;
                    appointment.updated_at =
                        clock.instant(day, 9 * 3_600 + chance.below(28_800) as i64).max(appointment.booked_at + 60);
                }
                continue;
            }
            if appointment.scheduled_at < from {
                continue;
            }
            let patient = &site.patients[appointment.patient];
            let cannot_come = patient.is_here || patient.deceased.is_some() || patient.is_merged;
            if cannot_come || chance.yes(0.13) {
                appointment.status = Status::NoShow;
                appointment.updated_at = (appointment.scheduled_at + 3_600).min(until - 1);
                continue;
            }
            let check_in = appointment.scheduled_at + (chance.normal() * 600.0) as i64 - 300;
            appointment.status = Status::Attended;
            appointment.checked_in_at = Some(check_in);
            appointment.updated_at = check_in;
            if chance.yes(0.2) {
                let follow_up = day + 3 + chance.below(HORIZON) as i32;
                appointment.follow_up = Some(follow_up);
                follow_ups.push((appointment.patient, appointment.physician, check_in, follow_up));
            }
            let visit = visit(site, flow, chance, appointment, check_in, day);
            flow.adt.register(chance, check_in, &visit);
            flow.closed.push(visit);
        }
        for (patient, physician, booked_at, on) in follow_ups {
            self.book(chance, clock, patient, physician, "follow_up", booked_at, on);
        }
    }

    fn book_day(&mut self, site: &mut Site, chance: &mut Chance, clock: &Clock, day: i32) {
        if !clock::is_weekday(day) {
            return;
        }
        let Some(clinic) = site.departments.iter().position(|department| department.kind == Kind::Outpatient) else {
            return;
        };
        for _ in 0..chance.poisson(BOOKED_PER_DAY * site.size) {
            let booked_at = clock.instant(day, (chance.between(8.0, 17.0) * 3_600.0) as i64);
            let Some(patient) = site.someone(chance, booked_at, day, 0.02, |_| true) else { continue };
            let physicians = &site.departments[clinic].physicians;
            let physician = physicians[chance.below(physicians.len())];
            let kind = chance.pick(&["new", "routine", "routine", "telehealth"]);
            let on = day + 1 + chance.below(HORIZON) as i32;
            self.book(chance, clock, patient, physician, kind, booked_at, on);
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one booking")]
    fn book(
        &mut self,
        chance: &mut Chance,
        clock: &Clock,
        patient: usize,
        physician: usize,
        kind: &'static str,
        booked_at: i64,
        on: i32,
    ) {
        let on = (on..on + 3).find(|day| clock::is_weekday(*day)).unwrap_or(on);
        let quarter = chance.below(36) as i64;
        self.count += 1;
        self.appointments.push(Appointment {
            number: self.count,
            patient,
            physician,
            kind,
            booked_at,
            scheduled_at: clock.instant(on, 8 * 3_600 + quarter * 900),
            minutes: [15, 30, 45][chance.weighted(&[0.4, 0.45, 0.15])],
            checked_in_at: None,
            status: Status::Booked,
            follow_up: None,
            updated_at: booked_at,
        });
    }
}

fn visit(
    site: &Site,
    flow: &mut Flow,
    chance: &mut Chance,
    appointment: &Appointment,
    arrived_at: i64,
    day: i32,
) -> Encounter {
    let department = site.staff[appointment.physician].department;
    let seen_at = arrived_at.max(appointment.scheduled_at) + chance.minutes(2.0, 35.0);
    let ended_at = (seen_at + appointment.minutes * 60 + chance.minutes(0.0, 15.0)).min(arrived_at + DAY / 4);
    Encounter {
        number: flow.next_encounter(),
        patient: appointment.patient,
        department,
        class: Class::Outpatient,
        admission_type: "elective",
        arrived_at,
        triaged_at: None,
        triage_level: None,
        provider_seen_at: Some(seen_at),
        admit_decision_at: None,
        departed_ed_at: None,
        admitted_at: None,
        expected_discharge: None,
        discharged_at: Some(ended_at),
        disposition: "home",
        physician: appointment.physician,
        diagnosis: Some(diagnosis_of(Kind::Outpatient, chance, day)),
        updated_at: ended_at,
        movements: Vec::new(),
        target: department,
        reserved: None,
        is_waiting: false,
        was_in_icu: false,
    }
}
