//! Patients through one hospital: a discrete-event simulation over UTC seconds.
//!
//! Arrivals → triage → provider → disposition → bed → (intensive care) → discharge. A bed is taken when it is reserved, given
//! back when the patient has left, and ready again after cleaning, so no bed ever holds two patients. Who finds no bed boards
//! in the emergency department; who has boarded for hours gets a surge bed, which is how occupancy passes 100 %.

use crate::adt::{Adt, AdtKind};
use crate::chance::Chance;
use crate::clock::{self, Clock, DAY, Downtimes, HOUR};
use crate::encounter::{Class, Encounter, Movement};
use crate::illness::{diagnosis_of, flu_wave};
use crate::site::{BedKind, BedState, Kind, Patient, Site};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// How somebody comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Door {
    Emergency,
    Elective,
    Delivery,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    BedReady(usize),
    Arrive(Door),
    Triage,
    Provider,
    Disposition,
    Surge,
    Enter,
    Birth,
    StayOver,
    Leave,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: i64,
    sequence: u64,
    step: Step,
    slot: usize,
    /// Guards against a slot that was given to another encounter since.
    encounter: u64,
}

/// The moving part of one hospital.
pub(crate) struct Flow {
    due: BinaryHeap<Reverse<Due>>,
    sequence: u64,
    slots: Vec<Option<Encounter>>,
    free_slots: Vec<usize>,
    /// Encounters that ended since they were last taken.
    pub closed: Vec<Encounter>,
    waiting: Vec<VecDeque<(usize, u64)>>,
    in_emergency: usize,
    encounters: u64,
    movements: u64,
    downtimes: Downtimes,
    pub adt: Adt,
}

/// Emergency arrivals per day at size 1, before the weekday's factor.
const EMERGENCY_PER_DAY: f64 = 80.0;
/// Share of a day's emergency arrivals in each local hour: few before dawn, most from late morning to evening.
const ARRIVALS_BY_HOUR: [f64; 24] = [
    2.4, 2.0, 1.7, 1.5, 1.5, 1.7, 2.3, 3.3, 4.6, 5.6, 6.2, 6.3, 6.0, 5.8, 5.6, 5.5, 5.6, 5.7, 5.7, 5.5, 5.0, 4.4, 3.7,
    3.0,
];
/// Monday is the busiest day of an emergency department.
const ARRIVALS_BY_WEEKDAY: [f64; 7] = [1.12, 1.03, 1.0, 0.98, 0.98, 0.94, 0.95];
/// Discharges by local hour.
const DISCHARGES_BY_HOUR: [f64; 24] = [
    0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.5, 1.5, 4.0, 8.0, 11.0, 12.0, 13.0, 14.0, 12.0, 9.0, 6.0, 4.0, 2.0, 1.0, 0.5,
    0.3, 0.2,
];
const TRIAGE_WEIGHTS: [f64; 5] = [0.02, 0.16, 0.45, 0.29, 0.08];
/// Chance of admission by triage level.
const ADMIT_SHARE: [f64; 5] = [0.75, 0.46, 0.20, 0.05, 0.01];
/// Median minutes from triage to a provider when the department is quiet, by triage level.
const PROVIDER_WAIT: [f64; 5] = [1.0, 11.0, 34.0, 48.0, 44.0];

impl Flow {
    pub(crate) fn new(site: &Site, clock: &Clock) -> Self {
        Self {
            due: BinaryHeap::new(),
            sequence: 0,
            slots: Vec::new(),
            free_slots: Vec::new(),
            closed: Vec::new(),
            waiting: vec![VecDeque::new(); site.departments.len()],
            in_emergency: 0,
            encounters: 0,
            movements: 0,
            downtimes: clock.downtimes(),
            adt: Adt::new(clock.downtimes()),
        }
    }

    /// Encounters that have not ended.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Encounter> {
        self.slots.iter().flatten()
    }

    pub(crate) fn encounter_count(&self) -> u64 {
        self.encounters
    }

    /// Number for an encounter that begins outside of this flow (a clinic visit).
    pub(crate) fn next_encounter(&mut self) -> u64 {
        self.encounters += 1;
        self.encounters
    }

    /// Plans one local day's arrivals.
    pub(crate) fn plan_day(&mut self, site: &Site, chance: &mut Chance, clock: &Clock, day: i32) {
        use chrono::Datelike;
        let weekday = clock::date_of(day).weekday().num_days_from_monday() as usize;
        let total: f64 = ARRIVALS_BY_HOUR.iter().sum();
        for (hour, share) in ARRIVALS_BY_HOUR.iter().enumerate() {
            let a_day = EMERGENCY_PER_DAY * site.size * ARRIVALS_BY_WEEKDAY[weekday] * (1.0 + 0.25 * flu_wave(day));
            let mean = a_day * share / total;
            for _ in 0..chance.poisson(mean) {
                let second = hour as i64 * HOUR + chance.below(HOUR as usize) as i64;
                self.plan(clock.instant(day, second), Step::Arrive(Door::Emergency), 0, 0);
            }
        }
        if clock::is_weekday(day) {
            for _ in 0..chance.poisson(5.0 * site.size) {
                let second = (chance.between(6.0, 10.0) * HOUR as f64) as i64;
                self.plan(clock.instant(day, second), Step::Arrive(Door::Elective), 0, 0);
            }
        }
        for _ in 0..chance.poisson(3.4 * site.size) {
            self.plan(clock.instant(day, chance.below(DAY as usize) as i64), Step::Arrive(Door::Delivery), 0, 0);
        }
    }

    /// Lets everything happen that is due before `until`.
    pub(crate) fn run(&mut self, site: &mut Site, chance: &mut Chance, clock: &Clock, until: i64) {
        while let Some(Reverse(due)) = self.due.peek().copied() {
            if due.at >= until {
                break;
            }
            self.due.pop();
            let mut scene = Scene { flow: self, site, chance, clock, now: due.at };
            scene.happen(due);
        }
    }

    fn plan(&mut self, at: i64, step: Step, slot: usize, encounter: u64) {
        self.sequence += 1;
        let at = self.downtimes.after(at);
        self.due.push(Reverse(Due { at, sequence: self.sequence, step, slot, encounter }));
    }
}

/// One moment in one hospital.
struct Scene<'a> {
    flow: &'a mut Flow,
    site: &'a mut Site,
    chance: &'a mut Chance,
    clock: &'a Clock,
    now: i64,
}

impl Scene<'_> {
    fn happen(&mut self, due: Due) {
        match due.step {
            Step::Arrive(door) => return self.arrive(door),
            Step::BedReady(bed) => return self.bed_ready(bed),
            _ => {}
        }
        // Taken out of its slot while it acts, so that the hospital can be changed beside it.
        let Some(mut encounter) = self.flow.slots.get_mut(due.slot).and_then(Option::take) else { return };
        if encounter.number != due.encounter {
            self.flow.slots[due.slot] = Some(encounter);
            return;
        }
        let is_over = self.step(due, &mut encounter);
        if is_over {
            self.flow.free_slots.push(due.slot);
            self.flow.closed.push(encounter);
        } else {
            self.flow.slots[due.slot] = Some(encounter);
        }
    }

    /// Returns whether the encounter has ended.
    fn step(&mut self, due: Due, encounter: &mut Encounter) -> bool {
        match due.step {
            Step::Triage => self.triage(due.slot, encounter),
            Step::Provider => {
                encounter.provider_seen_at = Some(self.now);
                encounter.updated_at = self.now;
                let work_up = (self.chance.lognormal(125.0, 0.55).clamp(12.0, 900.0) * 60.0) as i64;
                self.plan(work_up, Step::Disposition, due.slot, encounter);
            }
            Step::Disposition => return self.disposition(due.slot, encounter),
            Step::Surge => self.surge(due.slot, encounter),
            Step::Enter => self.enter(due.slot, encounter),
            Step::Birth => self.birth(encounter),
            Step::StayOver => return self.stay_over(due.slot, encounter),
            Step::Leave => return self.leave(encounter),
            Step::Arrive(_) | Step::BedReady(_) => {}
        }
        false
    }

    fn plan(&mut self, after: i64, step: Step, slot: usize, encounter: &Encounter) {
        self.flow.plan(self.now + after.max(1), step, slot, encounter.number);
    }

    fn today(&self) -> i32 {
        self.clock.local_day(self.now)
    }

    fn department_of(&mut self, kind: Kind) -> usize {
        let fitting: Vec<usize> =
            (0..self.site.departments.len()).filter(|index| self.site.departments[*index].kind == kind).collect();
        // Larger departments take more of the patients of their kind.
        let weights: Vec<f64> =
            fitting.iter().map(|index| self.site.departments[*index].staffed_beds as f64 + 0.1).collect();
        fitting.get(self.chance.weighted(&weights)).copied().unwrap_or(0)
    }

    fn arrive(&mut self, door: Door) {
        let today = self.today();
        let kind = match door {
            Door::Emergency => Kind::Emergency,
            Door::Elective => Kind::Surgical,
            Door::Delivery => Kind::Maternity,
        };
        let new_share = if door == Door::Emergency { 0.12 } else { 0.02 };
        let fits = |patient: &Patient| match door {
            Door::Emergency => true,
            Door::Elective => patient.age(today) >= 16,
            Door::Delivery => patient.is_female && (18..43).contains(&patient.age(today)),
        };
        let Some(patient) = self.site.someone(self.chance, self.now, today, new_share, fits) else { return };
        let department = self.department_of(kind);
        let mut encounter = self.begin(patient, department, Class::Emergency, kind);
        let slot = self.slot();
        if door == Door::Emergency {
            self.flow.in_emergency += 1;
            encounter.admission_type = "emergency";
            self.flow.adt.register(self.chance, self.now, &encounter);
            let wait = (self.chance.lognormal(7.0, 0.6).clamp(1.0, 45.0) * 60.0) as i64;
            self.plan(wait, Step::Triage, slot, &encounter);
        } else {
            encounter.class = Class::Inpatient;
            encounter.admission_type = if door == Door::Elective { "elective" } else { "emergency" };
            self.ask_for_bed(slot, &mut encounter, department);
        }
        self.flow.slots[slot] = Some(encounter);
    }

    fn slot(&mut self) -> usize {
        match self.flow.free_slots.pop() {
            Some(slot) => slot,
            None => {
                self.flow.slots.push(None);
                self.flow.slots.len() - 1
            }
        }
    }

    fn begin(&mut self, patient: usize, department: usize, class: Class, kind: Kind) -> Encounter {
        self.site.patients[patient].is_here = true;
        let number = self.flow.next_encounter();
        let physicians = &self.site.departments[department].physicians;
        let physician = physicians[self.chance.below(physicians.len())];
        Encounter {
            number,
            patient,
            department,
            class,
            admission_type: "elective",
            arrived_at: self.now,
            triaged_at: None,
            triage_level: None,
            provider_seen_at: None,
            admit_decision_at: None,
            departed_ed_at: None,
            admitted_at: None,
            expected_discharge: None,
            discharged_at: None,
            disposition: "",
            physician,
            diagnosis: Some(diagnosis_of(kind, self.chance, self.today())),
            updated_at: self.now,
            movements: Vec::new(),
            target: department,
            reserved: None,
            is_waiting: false,
            was_in_icu: false,
        }
    }

    fn triage(&mut self, slot: usize, encounter: &mut Encounter) {
        let level = self.chance.weighted(&TRIAGE_WEIGHTS);
        encounter.triaged_at = Some(self.now);
        encounter.triage_level = Some(level as u8 + 1);
        encounter.updated_at = self.now;
        let places = 22.0 * self.site.size;
        let crowding = self.flow.in_emergency as f64 / places;
        let median = PROVIDER_WAIT[level] * (0.6 + 0.9 * crowding * crowding);
        let wait = self.chance.lognormal(median, 0.7).min(600.0) * 60.0;
        let patience = self.chance.lognormal(330.0, 0.6) * 60.0;
        if level >= 2 && wait > patience {
            encounter.disposition = "lwbs";
            self.plan(patience as i64, Step::Leave, slot, encounter);
        } else {
            self.plan(wait as i64, Step::Provider, slot, encounter);
        }
    }

    fn disposition(&mut self, slot: usize, encounter: &mut Encounter) -> bool {
        let level = usize::from(encounter.triage_level.unwrap_or(3)) - 1;
        let today = self.today();
        let age = self.site.patients[encounter.patient].age(today);
        if !self.chance.yes(ADMIT_SHARE[level] * if age > 70 { 1.35 } else { 1.0 }) {
            encounter.disposition = match self.chance.weighted(&[0.955, 0.02, 0.015, 0.01]) {
                0 => "home",
                1 => "transfer",
                2 => "ama",
                _ => "facility",
            };
            return self.leave(encounter);
        }
        encounter.admit_decision_at = Some(self.now);
        encounter.updated_at = self.now;
        encounter.class = if level >= 2 && self.chance.yes(0.22) { Class::Observation } else { Class::Inpatient };
        let kind = match (age, level) {
            (..16, _) => Kind::Pediatric,
            (_, 0) if self.chance.yes(0.5) => Kind::Icu,
            _ if self.chance.yes(0.03) => Kind::Icu,
            _ if self.chance.yes(0.22) => Kind::Surgical,
            _ => Kind::Medical,
        };
        if kind == Kind::Icu {
            encounter.class = Class::Inpatient;
        }
        encounter.diagnosis = Some(diagnosis_of(kind, self.chance, today));
        let department = self.department_of(kind);
        self.ask_for_bed(slot, encounter, department);
        false
    }

    /// Reserves a bed, or queues for one (from the emergency department: in a boarding cot when there is one).
    fn ask_for_bed(&mut self, slot: usize, encounter: &mut Encounter, department: usize) {
        encounter.target = department;
        if let Some(bed) = self.site.departments[department].free.pop_first() {
            self.reserve(slot, encounter, bed);
            return;
        }
        encounter.is_waiting = true;
        self.flow.waiting[department].push_back((slot, encounter.number));
        let patience = self.chance.minutes(200.0, 480.0);
        self.plan(patience, Step::Surge, slot, encounter);
        if encounter.came_by_emergency()
            && encounter.movements.is_empty()
            && let Some(cot) = self.site.departments[encounter.department].free_cots.pop_first()
        {
            self.move_to(encounter, cot, "boarding");
        }
    }

    fn reserve(&mut self, slot: usize, encounter: &mut Encounter, bed: usize) {
        self.site.beds[bed].state = BedState::Occupied;
        encounter.reserved = Some(bed);
        encounter.is_waiting = false;
        let transport = self.chance.minutes(12.0, 55.0);
        self.plan(transport, Step::Enter, slot, encounter);
    }

    fn bed_ready(&mut self, bed: usize) {
        let department = self.site.beds[bed].department;
        if matches!(self.site.beds[bed].kind, BedKind::Standard | BedKind::Icu) {
            while let Some((slot, number)) = self.flow.waiting[department].pop_front() {
                let Some(mut encounter) = self.flow.slots[slot].take() else { continue };
                let is_next = encounter.number == number && encounter.is_waiting && encounter.target == department;
                if is_next {
                    self.reserve(slot, &mut encounter, bed);
                }
                self.flow.slots[slot] = Some(encounter);
                if is_next {
                    return;
                }
            }
        }
        self.site.beds[bed].state = BedState::Free;
        let department = &mut self.site.departments[department];
        match self.site.beds[bed].kind {
            BedKind::Standard | BedKind::Icu => department.free.insert(bed),
            BedKind::Surge => department.free_surge.insert(bed),
            BedKind::Cot => department.free_cots.insert(bed),
        };
    }

    fn surge(&mut self, slot: usize, encounter: &mut Encounter) {
        if !encounter.is_waiting {
            return;
        }
        match self.site.departments[encounter.target].free_surge.pop_first() {
            Some(bed) => self.reserve(slot, encounter, bed),
            None => {
                let later = self.chance.minutes(60.0, 180.0);
                self.plan(later, Step::Surge, slot, encounter);
            }
        }
    }

    /// Leaves the present bed, if any, and lies down in another.
    fn move_to(&mut self, encounter: &mut Encounter, bed: usize, reason: &'static str) {
        let from = encounter.bed();
        let is_first = encounter.movements.is_empty();
        self.vacate(encounter);
        self.flow.movements += 1;
        self.site.beds[bed].state = BedState::Occupied;
        encounter.movements.push(Movement {
            number: self.flow.movements,
            bed,
            is_first,
            started_at: self.now,
            ended_at: None,
            reason,
            updated_at: self.now,
        });
        encounter.updated_at = self.now;
        if encounter.admitted_at.is_none() {
            encounter.admitted_at = Some(self.now);
        }
        let kind = if is_first { AdtKind::Admit } else { AdtKind::Transfer };
        self.flow.adt.placed(self.chance, self.clock, self.now, kind, encounter, from);
    }

    fn vacate(&mut self, encounter: &mut Encounter) {
        let Some(movement) = encounter.movements.last_mut().filter(|movement| movement.ended_at.is_none()) else {
            return;
        };
        movement.ended_at = Some(self.now);
        movement.updated_at = self.now;
        let bed = movement.bed;
        self.site.beds[bed].state = BedState::Cleaning;
        let cleaning = self.chance.minutes(25.0, 95.0);
        self.flow.plan(self.now + cleaning, Step::BedReady(bed), 0, 0);
    }

    fn enter(&mut self, slot: usize, encounter: &mut Encounter) {
        let Some(bed) = encounter.reserved.take() else { return };
        let kind = self.site.departments[self.site.beds[bed].department].kind;
        let reason = match (encounter.movements.is_empty(), kind) {
            (true, _) if encounter.admission_type == "elective" => "elective admission",
            (true, _) => "admission",
            (false, Kind::Icu) => "deterioration",
            (false, _) if encounter.was_in_icu => "step-down",
            (false, _) => "bed available",
        };
        let is_ward_admission = encounter.expected_discharge.is_none();
        self.move_to(encounter, bed, reason);
        if encounter.came_by_emergency() && encounter.departed_ed_at.is_none() {
            encounter.departed_ed_at = Some(self.now);
            self.flow.in_emergency = self.flow.in_emergency.saturating_sub(1);
        }
        let stay = self.stay(encounter, kind);
        if is_ward_admission {
            let guess = stay as f64 * self.chance.between(0.75, 1.15);
            encounter.expected_discharge = Some(self.clock.local_day(self.now + guess as i64));
            if kind == Kind::Maternity && self.chance.yes(0.85) {
                let labour = self.chance.minutes(120.0, 900.0);
                self.plan(labour, Step::Birth, slot, encounter);
            }
        }
        encounter.was_in_icu |= kind == Kind::Icu;
        self.plan(stay, Step::StayOver, slot, encounter);
    }

    /// Seconds in a department: log-normal, and ending at an hour at which patients do go home.
    fn stay(&mut self, encounter: &Encounter, kind: Kind) -> i64 {
        if encounter.class == Class::Observation {
            return (self.chance.lognormal(19.0, 0.4).clamp(4.0, 60.0) * HOUR as f64) as i64;
        }
        let (median_days, sigma) = match kind {
            Kind::Medical => (3.1, 0.65),
            Kind::Surgical => (2.6, 0.6),
            Kind::Icu => (2.4, 0.7),
            Kind::Maternity => (2.1, 0.25),
            _ => (2.0, 0.5),
        };
        let days = self.chance.lognormal(median_days, sigma).clamp(0.4, 45.0);
        let end = self.now + (days * DAY as f64) as i64;
        let hour = self.chance.weighted(&DISCHARGES_BY_HOUR) as i64;
        let mut leaves_at =
            self.clock.instant(self.clock.local_day(end), hour * HOUR + self.chance.below(3_600) as i64);
        if leaves_at < self.now + 6 * HOUR {
            leaves_at += DAY;
        }
        leaves_at - self.now
    }

    /// A child is born to the encounter's patient and gets a cot of the same department.
    fn birth(&mut self, mother: &Encounter) {
        let department = mother.target;
        let Some(cot) = self.site.departments[department].free_cots.pop_first() else { return };
        let today = self.today();
        let child = self.site.register(self.chance, self.now, today, Some(mother.patient));
        let mut encounter = self.begin(child, department, Class::Inpatient, Kind::Maternity);
        encounter.admission_type = "newborn";
        encounter.diagnosis = None;
        encounter.expected_discharge = Some(today + 2);
        self.move_to(&mut encounter, cot, "birth");
        let stay = self.stay(&encounter, Kind::Maternity);
        let slot = self.slot();
        self.plan(stay, Step::StayOver, slot, &encounter);
        self.flow.slots[slot] = Some(encounter);
    }

    fn stay_over(&mut self, slot: usize, encounter: &mut Encounter) -> bool {
        let Some(bed) = encounter.bed() else { return false };
        let kind = self.site.departments[self.site.beds[bed].department].kind;
        let dies = match kind {
            Kind::Icu => 0.07,
            Kind::Medical => 0.018,
            Kind::Surgical => 0.006,
            _ => 0.0,
        };
        if self.chance.yes(dies) {
            encounter.disposition = "died";
            return self.leave(encounter);
        }
        if kind == Kind::Icu {
            let ward = if encounter.admission_type == "elective" { Kind::Surgical } else { Kind::Medical };
            let department = self.department_of(ward);
            self.ask_for_bed(slot, encounter, department);
            return false;
        }
        if matches!(kind, Kind::Medical | Kind::Surgical) && !encounter.was_in_icu && self.chance.yes(0.035) {
            encounter.class = Class::Inpatient;
            let department = self.department_of(Kind::Icu);
            self.ask_for_bed(slot, encounter, department);
            return false;
        }
        encounter.disposition = match self.chance.weighted(&[0.84, 0.11, 0.035, 0.015]) {
            0 => "home",
            1 if encounter.admission_type != "newborn" => "facility",
            2 if encounter.admission_type != "newborn" => "transfer",
            3 if encounter.admission_type != "newborn" => "ama",
            _ => "home",
        };
        self.leave(encounter)
    }

    fn leave(&mut self, encounter: &mut Encounter) -> bool {
        if encounter.came_by_emergency() && encounter.departed_ed_at.is_none() {
            encounter.departed_ed_at = Some(self.now);
            self.flow.in_emergency = self.flow.in_emergency.saturating_sub(1);
        }
        let bed = encounter.bed();
        self.vacate(encounter);
        encounter.discharged_at = Some(self.now);
        encounter.updated_at = self.now;
        self.flow.adt.left(self.chance, self.clock, self.now, encounter, bed);
        let today = self.today();
        let patient = &mut self.site.patients[encounter.patient];
        patient.is_here = false;
        if encounter.disposition == "died" {
            patient.deceased = Some(today);
            patient.updated_at = self.now;
        }
        true
    }
}
