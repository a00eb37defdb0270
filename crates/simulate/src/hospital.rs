//! One hospital with everything that moves in it: lets days pass and sends what they brought.

use crate::chance::Chance;
use crate::clinic::{Clinic, Status};
use crate::clock::{Clock, Downtimes};
use crate::encounter::{Encounter, Movement};
use crate::extract::Entity;
use crate::figures::Figures;
use crate::flow::Flow;
use crate::hl7;
use crate::ledger::Ledger;
use crate::network::HISTORY_DAYS;
use crate::options::{OutputFormat, SimulationOptions};
use crate::outbox::{Outbox, Parcel};
use crate::rounds::{Dispense, Rounds, Shift};
use crate::rows::Fill;
use crate::site::{Job, Site};
use std::collections::{BTreeSet, HashMap};

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
pub(crate) struct Hospital {
    pub(crate) site: Site,
    pub(crate) flow: Flow,
    clinic: Clinic,
    ledger: Ledger,
    rounds: Rounds,
    /// Second registrations not yet merged: due day, first and second registration.
    doubles: Vec<(i32, usize, usize)>,
    /// Patients of whom there are or were two registrations.
    twins: BTreeSet<usize>,
    /// Local day of the first extract.
    first_day: i32,
    downtimes: Downtimes,
    outbox: Outbox,
    pub(crate) figures: Figures,
    has_messages: bool,
    /// One stream of chance for each concern: more clinic visits do not change who breaks a leg.
    people: Chance,
    patients: Chance,
    clinics: Chance,
    money: Chance,
    staff: Chance,
}

impl Hospital {
    /// A hospital on its first simulated day; its extracts begin [`HISTORY_DAYS`] later.
    pub(crate) fn open(number: usize, options: &SimulationOptions, clock: &Clock, day: i32, outbox: Outbox) -> Self {
        let stream = |concern: u64| Chance::new(options.seed, number as u64 * 100 + concern);
        let mut people = stream(0);
        let mut clinics = stream(2);
        let mut site = Site::build(number, options, &mut people, clock, day);
        let flow = Flow::new(&site, clock);
        let mut clinic = Clinic::default();
        clinic.open(&mut site, &mut clinics, clock, day);
        let first_day = day + HISTORY_DAYS as i32;
        let figures = Figures::new(first_day, options.days, site.departments.len());
        Self {
            site,
            flow,
            clinic,
            ledger: Ledger::default(),
            rounds: Rounds::default(),
            doubles: Vec::new(),
            twins: BTreeSet::new(),
            first_day,
            downtimes: clock.downtimes(),
            outbox,
            figures,
            has_messages: options.has(OutputFormat::Hl7),
            people,
            patients: stream(1),
            clinics,
            money: stream(3),
            staff: stream(4),
        }
    }

    /// Lets a local day with an extract pass, and with the first one all days before it; returns what is sent.
    pub(crate) fn day(&mut self, clock: &Clock, day: i32) -> Parcel {
        self.outbox.open(day);
        if day == self.first_day {
            for past in day - HISTORY_DAYS as i32..day {
                let done = self.live(clock, past);
                self.send(clock, past, Part::History, &done);
            }
        }
        let done = self.live(clock, day);
        self.figures.staffed(&self.site, day);
        self.send(clock, day, if day == self.first_day { Part::First } else { Part::Day }, &done);
        self.outbox.take()
    }

    /// Counts what is still going on when the simulation ends.
    pub(crate) fn close(&mut self, clock: &Clock) {
        for encounter in self.flow.open() {
            self.figures.count(encounter, &self.site, clock);
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
            let window = (from, until);
            dispenses.extend(self.rounds.dispenses(&self.site, &mut self.staff, encounter, window, &self.downtimes));
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
        self.twins.extend([first, second]);
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

    /// Sends what the day brought and drops what will not change any more.
    fn send(&mut self, clock: &Clock, day: i32, part: Part, done: &Done) {
        let (from, until) = (clock.midnight(day), clock.midnight(day + 1));
        let is_due = |updated_at: i64, is_final: bool| match part {
            Part::History => is_final,
            Part::First => true,
            Part::Day => updated_at >= from,
        };
        if part != Part::History {
            self.send_state(clock);
            for shift in &done.shifts {
                Fill::new(&mut self.outbox.row, &self.site, clock).shift(shift);
                self.outbox.write(Entity::Attendance);
            }
        }
        let open = self.flow.open().map(|encounter| (encounter, false));
        for (encounter, is_final) in open.chain(done.closed.iter().map(|encounter| (encounter, true))) {
            if is_due(encounter.updated_at, is_final) {
                send_encounter(&self.site, &mut self.outbox, &mut self.figures, clock, encounter, |movement| {
                    is_due(movement.updated_at, is_final)
                });
            }
        }
        for encounter in &done.closed {
            self.figures.count(encounter, &self.site, clock);
        }
        for dispense in &done.dispenses {
            Fill::new(&mut self.outbox.row, &self.site, clock).dispense(dispense);
            self.outbox.write(Entity::Dispensed);
        }
        let messages = self.flow.adt.take(until);
        for message in &messages {
            Fill::new(&mut self.outbox.row, &self.site, clock).message(message);
            self.outbox.write(Entity::Adt);
        }
        if self.has_messages {
            let visits: HashMap<u64, &Encounter> =
                self.flow.open().chain(&done.closed).map(|encounter| (encounter.number, encounter)).collect();
            let parcel = &mut self.outbox.parcel;
            parcel.message_count += messages.len() as u64;
            for message in &messages {
                let visit = message.encounter.and_then(|number| visits.get(&number)).copied();
                hl7::write(&mut parcel.messages, &self.site, clock, message, visit);
            }
        }
        self.send_appointments(clock, is_due);
        self.send_money(clock, until, is_due);
    }

    fn send_appointments(&mut self, clock: &Clock, is_due: impl Fn(i64, bool) -> bool) {
        for appointment in &self.clinic.appointments {
            if is_due(appointment.updated_at, appointment.status != Status::Booked) {
                Fill::new(&mut self.outbox.row, &self.site, clock).appointment(appointment);
                self.outbox.write(Entity::Appointments);
            }
        }
        self.clinic.appointments.retain(|appointment| appointment.status == Status::Booked);
    }

    fn send_money(&mut self, clock: &Clock, until: i64, is_due: impl Fn(i64, bool) -> bool) {
        for bill in self.ledger.bills.iter().filter(|bill| bill.updated_at < until) {
            if is_due(bill.updated_at, bill.is_settled()) {
                Fill::new(&mut self.outbox.row, &self.site, clock).bill(bill);
                self.outbox.write(Entity::Billing);
            }
            let claim_updated_at = bill.claim.as_ref().map(|claim| claim.updated_at);
            if claim_updated_at.is_some_and(|updated_at| is_due(updated_at, bill.is_settled())) {
                Fill::new(&mut self.outbox.row, &self.site, clock).claim(bill);
                self.outbox.write(Entity::Claims);
            }
        }
        self.ledger.bills.retain(|bill| !bill.is_settled() || bill.updated_at >= until);
    }

    /// Entities that are sent whole each day.
    fn send_state(&mut self, clock: &Clock) {
        let (site, outbox) = (&self.site, &mut self.outbox);
        for department in &site.departments {
            Fill::new(&mut outbox.row, site, clock).department(department);
            outbox.write(Entity::Departments);
        }
        for room in &site.rooms {
            Fill::new(&mut outbox.row, site, clock).room(room);
            outbox.write(Entity::Rooms);
        }
        for bed in &site.beds {
            Fill::new(&mut outbox.row, site, clock).bed(bed);
            outbox.write(Entity::Beds);
        }
        for worker in &site.staff {
            Fill::new(&mut outbox.row, site, clock).worker(worker);
            outbox.write(match worker.job {
                Job::Physician => Entity::Physicians,
                Job::Nurse => Entity::Nurses,
                Job::Employee => Entity::Employees,
            });
        }
        if !outbox.wants(Entity::Patients) && !outbox.wants(Entity::Insurance) {
            return;
        }
        for (index, patient) in site.patients.iter().enumerate().filter(|(_, patient)| !patient.is_merged) {
            Fill::new(&mut outbox.row, site, clock).patient(patient);
            let sent = outbox.write(Entity::Patients);
            if self.twins.contains(&index) {
                outbox.note_twin(Entity::Patients, &sent, &patient.id);
            }
            for insurance in &patient.insurances {
                Fill::new(&mut outbox.row, site, clock).insurance(patient, insurance);
                outbox.write(Entity::Insurance);
            }
        }
    }
}

fn send_encounter(
    site: &Site,
    outbox: &mut Outbox,
    figures: &mut Figures,
    clock: &Clock,
    encounter: &Encounter,
    is_due: impl Fn(&Movement) -> bool,
) {
    Fill::new(&mut outbox.row, site, clock).encounter(encounter);
    if !outbox.write(Entity::Encounters).is_withheld {
        figures.deliver(encounter);
    }
    for movement in encounter.movements.iter().filter(|movement| is_due(movement)) {
        Fill::new(&mut outbox.row, site, clock).movement(encounter, movement);
        if !outbox.write(Entity::Transfers).is_withheld {
            figures.deliver_stay(encounter.number, movement, site);
        }
    }
}
