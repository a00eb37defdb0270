//! The run: hospitals side by side, day after day, and the extracts of each day.

use crate::catalog::{MEDICATIONS, PAYERS};
use crate::chance::Chance;
use crate::clinic::{Clinic, Status};
use crate::clock::{self, Clock};
use crate::dirt::Dirt;
use crate::encounter::Encounter;
use crate::error::SimulateError;
use crate::extract::Entity;
use crate::flow::Flow;
use crate::ledger::Ledger;
use crate::options::{Progress, SimulationOptions, Summary};
use crate::rounds::{Dispense, Rounds, Shift};
use crate::rows::Fill;
use crate::sink::Sink;
use crate::site::{Job, Site};
use crate::truth::Truth;
use std::path::Path;

/// Days simulated before the first extract, so that hospitals are full and bills are in flight when it is cut.
///
/// The first extract holds this history too: it is the initial load.
pub const HISTORY_DAYS: u32 = 10;

/// Simulates a hospital network and writes its daily extracts below `out`, calling `progress` after each day.
///
/// Existing files of the same names are replaced, each at once when it is complete; other files are left alone.
///
/// # Errors
/// [`SimulateError::InvalidOption`] for options outside of their range, [`SimulateError::Write`] when `out` cannot be written.
pub fn simulate(
    options: &SimulationOptions,
    out: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, SimulateError> {
    check(options)?;
    let first = clock::day_number(options.start_date);
    let history_start = first - HISTORY_DAYS as i32;
    let clock = Clock::new(clock::date_of(history_start), clock::date_of(first + options.days as i32));
    let mut hospitals: Vec<Hospital> =
        (1..=options.hospitals).map(|number| Hospital::open(number, options, &clock, history_start)).collect();
    let mut truth = Truth::create(out)?;
    let mut sink = Sink::new(out, Dirt::new(options.seed, options.dirt), &options.entities);
    for index in 0..options.days {
        let day = first + index as i32;
        let has_drifted = options.days > 1 && index >= options.days / 2;
        sink.open(day, has_drifted, &mut truth)?;
        write_shared(&mut sink, &mut truth, &hospitals, &clock)?;
        for hospital in &mut hospitals {
            if index == 0 {
                for past in history_start..first {
                    let mut done = hospital.live(&clock, past);
                    hospital.write(&mut sink, &mut truth, &clock, past, Part::History, &mut done)?;
                }
            }
            let mut done = hospital.live(&clock, day);
            truth.day(&hospital.site, &hospital.flow, &done.closed, &clock, day);
            let part = if index == 0 { Part::First } else { Part::Day };
            hospital.write(&mut sink, &mut truth, &clock, day, part, &mut done)?;
        }
        sink.close()?;
        progress(Progress { day: index + 1, days: options.days, date: clock::date_of(day), rows: sink.summary.rows });
    }
    truth.finish()?;
    let mut summary = sink.summary;
    summary.encounters = hospitals.iter().map(|hospital| hospital.flow.encounter_count()).sum();
    Ok(summary)
}

fn check(options: &SimulationOptions) -> Result<(), SimulateError> {
    let invalid = |option, value: String, expected| Err(SimulateError::InvalidOption { option, value, expected });
    if options.hospitals == 0 || options.hospitals > 99 {
        return invalid("hospitals", options.hospitals.to_string(), "1 to 99");
    }
    if options.days == 0 || options.days > 3_660 {
        return invalid("days", options.days.to_string(), "1 to 3660");
    }
    if !(0.05..=1_000.0).contains(&options.scale) {
        return invalid("scale", options.scale.to_string(), "0.05 to 1000");
    }
    if !(0.0..=1.0).contains(&options.dirt) {
        return invalid("dirt", options.dirt.to_string(), "a share, 0.0 to 1.0");
    }
    let year = chrono::Datelike::year(&options.start_date);
    if !(1971..=2090).contains(&year) {
        return invalid("start date", options.start_date.to_string(), "a date from 1971 to 2090");
    }
    Ok(())
}

/// Which rows of the entities that send changes belong into the file being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A day before the first extract: only rows that will not change any more.
    History,
    /// The first extract: everything that is not history.
    First,
    /// Any later day: what is new or changed that day.
    Day,
}

/// What a day brought that is not part of a hospital's lasting state.
struct Done {
    closed: Vec<Encounter>,
    shifts: Vec<Shift>,
    dispenses: Vec<Dispense>,
}

/// A hospital with everything that moves in it.
struct Hospital {
    site: Site,
    flow: Flow,
    clinic: Clinic,
    ledger: Ledger,
    rounds: Rounds,
    /// Second registrations not yet merged: due day, first and second registration.
    doubles: Vec<(i32, usize, usize)>,
    /// Local day of the first extract.
    first_day: i32,
    /// One stream of chance for each concern: more clinic visits do not change who breaks a leg.
    people: Chance,
    patients: Chance,
    clinics: Chance,
    money: Chance,
    staff: Chance,
}

impl Hospital {
    fn open(number: usize, options: &SimulationOptions, clock: &Clock, day: i32) -> Self {
        let stream = |concern: u64| Chance::new(options.seed, number as u64 * 100 + concern);
        let mut people = stream(0);
        let mut clinics = stream(2);
        let mut site = Site::build(number, options, &mut people, clock, day);
        let flow = Flow::new(&site);
        let mut clinic = Clinic::default();
        clinic.open(&mut site, &mut clinics, clock, day);
        Self {
            site,
            flow,
            clinic,
            ledger: Ledger::default(),
            rounds: Rounds::default(),
            doubles: Vec::new(),
            first_day: day + HISTORY_DAYS as i32,
            people,
            patients: stream(1),
            clinics,
            money: stream(3),
            staff: stream(4),
        }
    }

    /// Lets one local day pass.
    fn live(&mut self, clock: &Clock, day: i32) -> Done {
        let (from, until) = (clock.midnight(day), clock.midnight(day + 1));
        self.change_people(clock, day);
        self.clinic.run(&mut self.site, &mut self.flow, &mut self.clinics, clock, day);
        self.flow.plan_day(&self.site, &mut self.patients, clock, day);
        self.flow.run(&mut self.site, &mut self.patients, clock, until);
        let closed = std::mem::take(&mut self.flow.closed);
        let mut dispenses = Vec::new();
        for encounter in self.flow.open().chain(&closed) {
            dispenses.extend(self.rounds.dispenses(&self.site, &mut self.staff, encounter, from, until));
        }
        for encounter in &closed {
            self.ledger.bill(&self.site, &mut self.money, clock, encounter);
        }
        self.ledger.run(&self.site, &mut self.money, clock, day);
        let shifts = self.rounds.shifts(&self.site, &mut self.staff, clock, day);
        Done { closed, shifts, dispenses }
    }

    /// Moves, new phone numbers, new covers, merged registrations, opened and closed beds.
    fn change_people(&mut self, clock: &Clock, day: i32) {
        let at = |chance: &mut Chance| clock.instant(day, 8 * 3_600 + chance.below(36_000) as i64);
        let changes = self.people.poisson(self.site.patients.len() as f64 * 0.006);
        for _ in 0..changes {
            let index = self.people.below(self.site.patients.len());
            let at = at(&mut self.people);
            let patient = &self.site.patients[index];
            if patient.deceased.is_none() && !patient.is_merged && patient.updated_at < at {
                self.site.change_patient(index, &mut self.people, at, day);
                self.flow.adt.person(&mut self.people, at, index, None);
            }
        }
        for _ in 0..self.people.poisson(0.4 * self.site.size) {
            let at = at(&mut self.people);
            self.register_again(at, day);
        }
        self.merge_doubles(clock, day);
        for _ in 0..self.people.poisson(0.5) {
            let department = self.people.below(self.site.departments.len());
            let at = at(&mut self.people);
            self.site.change_department(department, &mut self.people, at);
        }
    }

    /// Somebody who is known already is registered a second time.
    fn register_again(&mut self, at: i64, day: i32) {
        let Some(first) = self.site.someone(&mut self.people, at, day, 0.0, |_| true) else { return };
        let second = self.site.register(&mut self.people, at, day, None);
        let (one, other) = self.site.patients.split_at_mut(second);
        let (one, other) = (&one[first], &mut other[0]);
        (other.first_name, other.last_name, other.born, other.is_female) =
            (one.first_name, one.last_name, one.born, one.is_female);
        other.national_id.clone_from(&one.national_id);
        // Not before the second extract: a registration has to be seen before its merge means anything to a reader.
        let due = (day + 1 + self.people.below(3) as i32).max(self.first_day + 1);
        self.doubles.push((due, first, second));
    }

    /// Second registrations that were noticed are merged into the first and leave the extracts.
    fn merge_doubles(&mut self, clock: &Clock, day: i32) {
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.doubles).into_iter().partition(|(on, ..)| *on <= day);
        self.doubles = later;
        for (_, first, second) in due {
            if self.site.patients[second].is_here {
                self.doubles.push((day + 1, first, second));
                continue;
            }
            let at = clock.instant(day, 8 * 3_600 + self.people.below(36_000) as i64);
            self.site.patients[second].is_merged = true;
            self.flow.adt.person(&mut self.people, at, second, Some(first));
        }
    }

    /// Writes what the day brought and drops what will not change any more.
    fn write(
        &mut self,
        sink: &mut Sink,
        truth: &mut Truth,
        clock: &Clock,
        day: i32,
        part: Part,
        done: &mut Done,
    ) -> Result<(), SimulateError> {
        let (from, until) = (clock.midnight(day), clock.midnight(day + 1));
        let is_due = |updated_at: i64, is_final: bool| match part {
            Part::History => is_final,
            Part::First => true,
            Part::Day => updated_at >= from,
        };
        if part != Part::History {
            self.write_state(sink, truth, clock)?;
            for shift in &done.shifts {
                Fill::new(&mut sink.row, &self.site, clock).shift(shift);
                sink.write(Entity::Attendance, truth)?;
            }
        }
        let open = self.flow.open().map(|encounter| (encounter, false));
        for (encounter, is_final) in open.chain(done.closed.iter().map(|encounter| (encounter, true))) {
            if !is_due(encounter.updated_at, is_final) {
                continue;
            }
            Fill::new(&mut sink.row, &self.site, clock).encounter(encounter);
            sink.write(Entity::Encounters, truth)?;
            for movement in encounter.movements.iter().filter(|movement| is_due(movement.updated_at, is_final)) {
                Fill::new(&mut sink.row, &self.site, clock).movement(encounter, movement);
                sink.write(Entity::Transfers, truth)?;
            }
        }
        for dispense in &done.dispenses {
            Fill::new(&mut sink.row, &self.site, clock).dispense(dispense);
            sink.write(Entity::Dispensed, truth)?;
        }
        for message in self.flow.adt.take(until) {
            Fill::new(&mut sink.row, &self.site, clock).message(&message);
            sink.write(Entity::Adt, truth)?;
        }
        self.write_appointments(sink, truth, clock, is_due)?;
        self.write_money(sink, truth, clock, until, is_due)
    }

    fn write_appointments(
        &mut self,
        sink: &mut Sink,
        truth: &mut Truth,
        clock: &Clock,
        is_due: impl Fn(i64, bool) -> bool,
    ) -> Result<(), SimulateError> {
        for appointment in &self.clinic.appointments {
            if is_due(appointment.updated_at, appointment.status != Status::Booked) {
                Fill::new(&mut sink.row, &self.site, clock).appointment(appointment);
                sink.write(Entity::Appointments, truth)?;
            }
        }
        self.clinic.appointments.retain(|appointment| appointment.status == Status::Booked);
        Ok(())
    }

    fn write_money(
        &mut self,
        sink: &mut Sink,
        truth: &mut Truth,
        clock: &Clock,
        until: i64,
        is_due: impl Fn(i64, bool) -> bool,
    ) -> Result<(), SimulateError> {
        for bill in self.ledger.bills.iter().filter(|bill| bill.updated_at < until) {
            if is_due(bill.updated_at, bill.is_settled()) {
                Fill::new(&mut sink.row, &self.site, clock).bill(bill);
                sink.write(Entity::Billing, truth)?;
            }
            let claim_updated_at = bill.claim.as_ref().map(|claim| claim.updated_at);
            if claim_updated_at.is_some_and(|updated_at| is_due(updated_at, bill.is_settled())) {
                Fill::new(&mut sink.row, &self.site, clock).claim(bill);
                sink.write(Entity::Claims, truth)?;
            }
        }
        self.ledger.bills.retain(|bill| !bill.is_settled() || bill.updated_at >= until);
        Ok(())
    }

    /// Entities that are sent whole each day.
    fn write_state(&self, sink: &mut Sink, truth: &mut Truth, clock: &Clock) -> Result<(), SimulateError> {
        let site = &self.site;
        for department in &site.departments {
            Fill::new(&mut sink.row, site, clock).department(department);
            sink.write(Entity::Departments, truth)?;
        }
        for room in &site.rooms {
            Fill::new(&mut sink.row, site, clock).room(room);
            sink.write(Entity::Rooms, truth)?;
        }
        for bed in &site.beds {
            Fill::new(&mut sink.row, site, clock).bed(bed);
            sink.write(Entity::Beds, truth)?;
        }
        for worker in &site.staff {
            Fill::new(&mut sink.row, site, clock).worker(worker);
            let entity = match worker.job {
                Job::Physician => Entity::Physicians,
                Job::Nurse => Entity::Nurses,
                Job::Employee => Entity::Employees,
            };
            sink.write(entity, truth)?;
        }
        if !sink.wants(Entity::Patients) && !sink.wants(Entity::Insurance) {
            return Ok(());
        }
        for patient in site.patients.iter().filter(|patient| !patient.is_merged) {
            Fill::new(&mut sink.row, site, clock).patient(patient);
            sink.write(Entity::Patients, truth)?;
            for insurance in &patient.insurances {
                Fill::new(&mut sink.row, site, clock).insurance(patient, insurance);
                sink.write(Entity::Insurance, truth)?;
            }
        }
        Ok(())
    }
}

/// Entities of the network as a whole.
fn write_shared(
    sink: &mut Sink,
    truth: &mut Truth,
    hospitals: &[Hospital],
    clock: &Clock,
) -> Result<(), SimulateError> {
    for hospital in hospitals {
        Fill::new(&mut sink.row, &hospital.site, clock).hospital();
        sink.write(Entity::Hospitals, truth)?;
    }
    let Some(any) = hospitals.first() else { return Ok(()) };
    for payer in 0..PAYERS.len() {
        Fill::new(&mut sink.row, &any.site, clock).payer(payer);
        sink.write(Entity::Payers, truth)?;
    }
    for medication in 0..MEDICATIONS.len() {
        Fill::new(&mut sink.row, &any.site, clock).medication(medication);
        sink.write(Entity::Medications, truth)?;
    }
    Ok(())
}
