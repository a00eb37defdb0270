//! Rows of the extracts from the state of a hospital: one function per entity, columns in the order of [`Entity::columns`].
//!
//! [`Entity::columns`]: crate::extract::Entity::columns

use crate::adt::Message;
use crate::catalog::{self, CITIES, DENIALS, DIAGNOSES, MEDICATIONS, PAYERS};
use crate::clinic::Appointment;
use crate::clock::{Clock, TIME_ZONE, write_date};
use crate::encounter::{Encounter, Movement};
use crate::extract::Row;
use crate::ledger::Bill;
use crate::rounds::{Dispense, Shift};
use crate::site::{Bed, BedKind, BedState, Department, Insurance, Job, Patient, Room, Site, Worker};
use std::fmt::{Display, Write};

/// A row being filled.
pub(crate) struct Fill<'a> {
    row: &'a mut Row,
    site: &'a Site,
    clock: &'a Clock,
}

impl<'a> Fill<'a> {
    pub(crate) fn new(row: &'a mut Row, site: &'a Site, clock: &'a Clock) -> Self {
        row.clear();
        Self { row, site, clock }
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.row.next().push_str(text);
        self
    }

    fn show(&mut self, value: impl Display) -> &mut Self {
        // Writing to a String cannot fail.
        let _ = write!(self.row.next(), "{value}");
        self
    }

    fn time(&mut self, at: impl Into<Option<i64>>) -> &mut Self {
        let field = self.row.next();
        if let Some(at) = at.into() {
            self.clock.write_time(field, at);
        }
        self
    }

    fn date(&mut self, day: impl Into<Option<i32>>) -> &mut Self {
        let field = self.row.next();
        if let Some(day) = day.into() {
            write_date(field, day);
        }
        self
    }

    fn money(&mut self, cents: impl Into<Option<i64>>) -> &mut Self {
        let field = self.row.next();
        if let Some(cents) = cents.into() {
            let _ = write!(field, "{}.{:02}", cents / 100, cents % 100);
        }
        self
    }

    /// An id of this hospital: `H01-E000000012`.
    fn id(&mut self, letter: char, number: u64) -> &mut Self {
        self.show(format_args!("{}-{letter}{number:09}", self.site.id))
    }

    fn patient_id(&mut self, patient: usize) -> &mut Self {
        self.row.next().push_str(&self.site.patients[patient].id);
        self
    }

    fn department_id(&mut self, department: usize) -> &mut Self {
        self.row.next().push_str(&self.site.departments[department].id);
        self
    }

    fn worker_id(&mut self, worker: usize) -> &mut Self {
        self.row.next().push_str(&self.site.staff[worker].id);
        self
    }

    fn hospital_id(&mut self) -> &mut Self {
        self.row.next().push_str(&self.site.id);
        self
    }

    pub(crate) fn hospital(&mut self) {
        let site = self.site;
        let beds = site.beds.iter().filter(|bed| bed.is_staffed && bed.kind != BedKind::Cot).count();
        let kind = if site.size >= 1.1 { "teaching" } else { "community" };
        self.hospital_id().text(&site.name).text(CITIES[site.city].0).text("NY").text(TIME_ZONE);
        self.text(kind).show(beds).date(site.opened);
    }

    pub(crate) fn department(&mut self, department: &Department) {
        self.text(&department.id).hospital_id().text(department.name).text(department.kind.name());
        self.show(department.floor)
            .show(department.staffed_beds)
            .worker_id(department.head)
            .time(department.updated_at);
    }

    pub(crate) fn room(&mut self, room: &Room) {
        self.text(&room.id).hospital_id().department_id(room.department).text(&room.number).text(room.kind);
    }

    pub(crate) fn bed(&mut self, bed: &Bed) {
        let site = self.site;
        self.text(&bed.id).hospital_id().department_id(bed.department).text(&site.rooms[bed.room].id).text(&bed.label);
        self.text(match bed.kind {
            BedKind::Standard => "standard",
            BedKind::Icu => "icu",
            BedKind::Surge => "surge",
            BedKind::Cot => "cot",
        });
        self.text(if bed.is_staffed { "Y" } else { "N" });
        self.text(match bed.state {
            BedState::Free => "free",
            BedState::Occupied => "occupied",
            BedState::Cleaning => "cleaning",
            BedState::Closed => "closed",
        });
    }

    pub(crate) fn patient(&mut self, patient: &Patient) {
        let site = self.site;
        self.text(&patient.id).hospital_id().text(&patient.mrn).text(&patient.national_id);
        self.text(patient.first_name).text(patient.last_name).text(site.gender(patient.is_female)).date(patient.born);
        self.text(&patient.phone).text(&patient.email).text(&patient.address).text(CITIES[patient.city].0);
        self.text(&patient.postal_code).text(patient.insurances.last().map_or("", |insurance| insurance.id.as_str()));
        self.time(patient.registered_at).date(patient.deceased).time(patient.updated_at);
    }

    pub(crate) fn worker(&mut self, worker: &Worker) {
        self.text(&worker.id)
            .hospital_id()
            .department_id(worker.department)
            .text(worker.first_name)
            .text(worker.last_name);
        self.text(worker.title).date(worker.hired);
        if worker.job == Job::Employee {
            self.date(worker.left);
        }
    }

    pub(crate) fn shift(&mut self, shift: &Shift) {
        let department = self.site.staff[shift.worker].department;
        self.id('A', shift.number).worker_id(shift.worker).hospital_id().department_id(department).date(shift.day);
        self.text(shift.kind)
            .time(shift.starts_at)
            .time(shift.ends_at)
            .time(shift.clock_in_at)
            .time(shift.clock_out_at);
        self.text(shift.status);
    }

    pub(crate) fn encounter(&mut self, encounter: &Encounter) {
        let diagnosis = encounter.diagnosis.map_or(&catalog::LIVEBORN, |index| &DIAGNOSES[index]);
        self.id('E', encounter.number).patient_id(encounter.patient).hospital_id().department_id(encounter.department);
        self.text(encounter.class.name()).text(encounter.admission_type).time(encounter.arrived_at);
        self.time(encounter.triaged_at);
        match encounter.triage_level {
            Some(level) => self.show(level),
            None => self.text(""),
        };
        self.time(encounter.provider_seen_at).time(encounter.admit_decision_at).time(encounter.departed_ed_at);
        self.time(encounter.admitted_at).date(encounter.expected_discharge).time(encounter.discharged_at);
        // A patient who will leave unseen is known as such only once gone.
        self.text(if encounter.discharged_at.is_some() { encounter.disposition } else { "" });
        self.worker_id(encounter.physician).text(diagnosis.code).text(diagnosis.text).time(encounter.updated_at);
    }

    pub(crate) fn movement(&mut self, encounter: &Encounter, movement: &Movement) {
        let site = self.site;
        let bed = &site.beds[movement.bed];
        self.id('M', movement.number).id('E', encounter.number).patient_id(encounter.patient).hospital_id();
        self.department_id(bed.department).text(&site.rooms[bed.room].id).text(&bed.id);
        self.text(if movement.is_first { "admit" } else { "transfer" })
            .time(movement.started_at)
            .time(movement.ended_at);
        self.text(movement.reason).time(movement.updated_at);
    }

    pub(crate) fn appointment(&mut self, appointment: &Appointment) {
        let department = self.site.staff[appointment.physician].department;
        self.id('V', appointment.number).patient_id(appointment.patient).worker_id(appointment.physician).hospital_id();
        self.department_id(department)
            .text(appointment.kind)
            .time(appointment.booked_at)
            .time(appointment.scheduled_at);
        self.show(appointment.minutes).time(appointment.checked_in_at).text(appointment.status.name());
        self.date(appointment.follow_up).time(appointment.updated_at);
    }

    pub(crate) fn bill(&mut self, bill: &Bill) {
        let site = self.site;
        let insurance = bill.insurance.and_then(|index| site.patients[bill.patient].insurances.get(index));
        self.id('L', bill.encounter).id('E', bill.encounter).patient_id(bill.patient).hospital_id();
        self.text(insurance.map_or("", |insurance| insurance.id.as_str())).date(bill.bill_day).money(bill.amount_cents);
        self.money(bill.discount_cents).money(bill.tax_cents).money(bill.final_cents()).money(bill.paid_cents);
        self.date(bill.payment_day).text(bill.status()).text(bill.payment_method).time(bill.updated_at);
    }

    /// Returns false where the bill has no claim.
    pub(crate) fn claim(&mut self, bill: &Bill) -> bool {
        let Some(claim) = &bill.claim else { return false };
        self.id('C', bill.encounter).id('L', bill.encounter).id('E', bill.encounter).patient_id(bill.patient);
        self.payer_id(claim.payer).time(claim.submitted_at).money(claim.billed_cents).money(claim.allowed_cents);
        self.money(claim.paid_cents).text(claim.status());
        let (code, reason) = claim.denial.map_or(("", ""), |index| DENIALS[index]);
        self.text(code).text(reason).time(claim.adjudicated_at).time(claim.updated_at);
        true
    }

    fn payer_id(&mut self, payer: usize) -> &mut Self {
        self.show(format_args!("PAY{:02}", payer + 1))
    }

    pub(crate) fn payer(&mut self, payer: usize) {
        self.payer_id(payer).text(PAYERS[payer].0).text(PAYERS[payer].1);
    }

    pub(crate) fn insurance(&mut self, patient: &Patient, insurance: &Insurance) {
        self.text(&insurance.id)
            .text(&patient.id)
            .payer_id(insurance.payer)
            .text(insurance.plan)
            .text(insurance.coverage);
        self.money(insurance.premium_cents).date(insurance.start).date(insurance.end);
    }

    fn medication_id(&mut self, medication: usize) -> &mut Self {
        self.show(format_args!("MED{:03}", medication + 1))
    }

    pub(crate) fn medication(&mut self, position: usize) {
        let medication = &MEDICATIONS[position];
        self.medication_id(position).text(medication.name).text(medication.atc_code).text(medication.route);
        self.text(medication.strength).text(medication.strength_unit).text(medication.ddd).text(medication.ddd_unit);
        self.text(medication.unit_cost);
    }

    pub(crate) fn dispense(&mut self, dispense: &Dispense) {
        self.id('X', dispense.number).id('E', dispense.encounter).patient_id(dispense.patient).hospital_id();
        self.department_id(dispense.department).medication_id(dispense.medication).worker_id(dispense.prescriber);
        self.show(dispense.quantity).show(dispense.returned).time(dispense.at);
    }

    pub(crate) fn message(&mut self, message: &Message) {
        let site = self.site;
        let bed = message.bed.map(|index| &site.beds[index]);
        let prior = message.prior_bed.map(|index| &site.beds[index]);
        self.id('T', message.number).text(message.kind.code()).time(message.occurred_at).time(message.recorded_at);
        self.hospital_id().patient_id(message.patient);
        match message.encounter {
            Some(number) => self.id('E', number),
            None => self.text(""),
        };
        match bed.map(|bed| bed.department).or(message.department) {
            Some(department) => self.department_id(department),
            None => self.text(""),
        };
        self.text(bed.map_or("", |bed| site.rooms[bed.room].id.as_str())).text(bed.map_or("", |bed| bed.id.as_str()));
        self.text(prior.map_or("", |bed| site.departments[bed.department].id.as_str()));
        self.text(prior.map_or("", |bed| bed.id.as_str()));
        self.text(message.merged_into.map_or("", |index| site.patients[index].id.as_str()));
    }
}
