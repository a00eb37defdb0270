//! One hospital and everything it owns: departments, rooms, beds, staff, patients.

use crate::catalog;
use crate::chance::Chance;
use crate::clock::{self, Clock};
use crate::options::SimulationOptions;
use std::collections::BTreeSet;

/// What a department does; decides its beds, lengths of stay and diagnoses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Emergency,
    Medical,
    Surgical,
    Icu,
    Maternity,
    Pediatric,
    Outpatient,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::Medical => "medical",
            Self::Surgical => "surgical",
            Self::Icu => "icu",
            Self::Maternity => "maternity",
            Self::Pediatric => "pediatric",
            Self::Outpatient => "outpatient",
        }
    }
}

/// A department of one hospital.
pub(crate) struct Department {
    pub id: String,
    pub name: &'static str,
    pub kind: Kind,
    pub floor: usize,
    pub staffed_beds: usize,
    /// Position of the head in `Site::staff`.
    pub head: usize,
    pub updated_at: i64,
    /// Free staffed beds, lowest first.
    pub free: BTreeSet<usize>,
    /// Free surge beds, opened only when patients have waited too long.
    pub free_surge: BTreeSet<usize>,
    /// Free cots: boarding places in the emergency department, well-baby cots in maternity.
    pub free_cots: BTreeSet<usize>,
    /// Positions of its physicians in `Site::staff`.
    pub physicians: Vec<usize>,
}

/// A room; its id is what beds refer to.
pub(crate) struct Room {
    pub id: String,
    pub department: usize,
    pub number: String,
    pub kind: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BedKind {
    Standard,
    Icu,
    Surge,
    Cot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BedState {
    Free,
    Occupied,
    Cleaning,
    Closed,
}

/// A place for one patient.
pub(crate) struct Bed {
    pub id: String,
    pub department: usize,
    pub room: usize,
    pub label: String,
    pub kind: BedKind,
    pub is_staffed: bool,
    pub state: BedState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    Physician,
    Nurse,
    Employee,
}

/// A person who works at the hospital.
pub(crate) struct Worker {
    pub id: String,
    pub job: Job,
    pub department: usize,
    pub first_name: &'static str,
    pub last_name: &'static str,
    /// Specialty, grade or role, depending on the job.
    pub title: &'static str,
    pub hired: i32,
    pub left: Option<i32>,
}

/// A cover that a patient has or had.
pub(crate) struct Insurance {
    pub id: String,
    pub payer: usize,
    pub plan: &'static str,
    pub coverage: &'static str,
    pub premium_cents: i64,
    pub start: i32,
    pub end: i32,
}

/// A registered person.
pub(crate) struct Patient {
    pub id: String,
    pub mrn: String,
    pub national_id: String,
    pub first_name: &'static str,
    pub last_name: &'static str,
    pub is_female: bool,
    pub born: i32,
    pub phone: String,
    pub email: String,
    pub address: String,
    pub city: usize,
    pub postal_code: String,
    /// Covers, the current one last; empty for who pays alone.
    pub insurances: Vec<Insurance>,
    pub registered_at: i64,
    pub deceased: Option<i32>,
    pub updated_at: i64,
    /// Between arrival and departure; nobody is in two places at once.
    pub is_here: bool,
    /// A second registration that was merged away; no longer in the extracts.
    pub is_merged: bool,
}

impl Patient {
    pub(crate) fn age(&self, day: i32) -> i32 {
        (day - self.born).div_euclid(365)
    }
}

/// A hospital.
pub(crate) struct Site {
    pub number: usize,
    pub id: String,
    pub name: String,
    pub city: usize,
    pub opened: i32,
    /// Size against a hospital of scale 1.
    pub size: f64,
    pub departments: Vec<Department>,
    pub rooms: Vec<Room>,
    pub beds: Vec<Bed>,
    pub staff: Vec<Worker>,
    pub patients: Vec<Patient>,
    insurance_count: usize,
}

/// Relative sizes of the hospitals, repeated when there are more.
const SIZES: &[f64] = &[1.4, 1.0, 0.8, 1.2, 0.6, 0.9, 1.1];

/// Name, kind, staffed beds, cots at size 1.
const DEPARTMENTS: &[(&str, Kind, f64, f64)] = &[
    ("Emergency", Kind::Emergency, 0.0, 10.0),
    ("Internal Medicine", Kind::Medical, 32.0, 0.0),
    ("Cardiology", Kind::Medical, 14.0, 0.0),
    ("Surgery", Kind::Surgical, 26.0, 0.0),
    ("Intensive Care", Kind::Icu, 8.0, 0.0),
    ("Maternity", Kind::Maternity, 12.0, 10.0),
    ("Pediatrics", Kind::Pediatric, 10.0, 0.0),
    ("Outpatient Clinic", Kind::Outpatient, 0.0, 0.0),
];

impl Site {
    pub(crate) fn build(
        number: usize,
        options: &SimulationOptions,
        chance: &mut Chance,
        clock: &Clock,
        today: i32,
    ) -> Self {
        let size = SIZES[(number - 1) % SIZES.len()] * options.scale;
        let city = (number - 1) % catalog::CITIES.len();
        let kind = catalog::HOSPITAL_NAMES[(number - 1) % catalog::HOSPITAL_NAMES.len()];
        let mut site = Self {
            number,
            id: format!("H{number:02}"),
            name: format!("{} {kind}", catalog::CITIES[city].0),
            city,
            opened: today - 365 * (12 + chance.below(90) as i32),
            size,
            departments: Vec::new(),
            rooms: Vec::new(),
            beds: Vec::new(),
            staff: Vec::new(),
            patients: Vec::new(),
            insurance_count: 0,
        };
        let opened_at = clock.midnight(today - 400);
        for position in 0..DEPARTMENTS.len() {
            site.add_department(position, chance, opened_at, today);
        }
        // Enough people that those in bed are a small part of those who might come.
        let downtimes = clock.downtimes();
        let wanted = options.patients_per_hospital.max(site.beds.len() * 5);
        for _ in 0..wanted {
            let registered_at = clock.midnight(today) - (chance.share() * 330.0 * clock::DAY as f64) as i64;
            let index = site.register(chance, downtimes.after(registered_at), today, None);
            // Nobody is registered before birth.
            let patient = &mut site.patients[index];
            let earliest = clock.midnight(patient.born) + 12 * clock::HOUR;
            patient.registered_at = patient.registered_at.max(earliest);
            patient.updated_at = patient.registered_at;
        }
        site
    }

    fn add_department(&mut self, position: usize, chance: &mut Chance, opened_at: i64, today: i32) {
        let (name, kind, beds, cots) = DEPARTMENTS[position];
        let staffed = (beds * self.size).ceil() as usize;
        let cots = (cots * self.size).ceil() as usize;
        let head = self.staff.len();
        let workers = 4 + staffed / 3 + cots / 3;
        let mut department = Department {
            id: format!("{}-D{:02}", self.id, position + 1),
            name,
            kind,
            floor: position / 2,
            staffed_beds: if kind == Kind::Emergency { cots } else { staffed },
            head,
            updated_at: opened_at,
            free: BTreeSet::new(),
            free_surge: BTreeSet::new(),
            free_cots: BTreeSet::new(),
            physicians: Vec::new(),
        };
        for index in 0..workers * 3 {
            let job = match index % 3 {
                0 => Job::Physician,
                1 => Job::Nurse,
                _ => Job::Employee,
            };
            if job == Job::Physician {
                department.physicians.push(self.staff.len());
            }
            let worker = self.worker(job, position, kind, chance, today);
            self.staff.push(worker);
        }
        let usual = if kind == Kind::Icu { BedKind::Icu } else { BedKind::Standard };
        let surge = (staffed as f64 * 0.15).ceil() as usize;
        let mut rooms = 0;
        for (bed_kind, count) in [(usual, staffed), (BedKind::Surge, surge), (BedKind::Cot, cots)] {
            for position_in_kind in 0..count {
                self.add_bed(position, bed_kind, position_in_kind, &mut rooms, &mut department);
            }
        }
        self.departments.push(department);
    }

    /// Adds the `nth` bed of its kind to the department; `rooms` counts the department's rooms.
    fn add_bed(&mut self, position: usize, kind: BedKind, nth: usize, rooms: &mut usize, department: &mut Department) {
        let index = self.beds.len();
        let (per_room, room_kind) = match kind {
            BedKind::Standard => (2, "ward"),
            BedKind::Icu => (1, "icu"),
            BedKind::Surge => (2, "overflow"),
            BedKind::Cot => (5, "bay"),
        };
        if nth.is_multiple_of(per_room) {
            *rooms += 1;
            let number = format!("{}{rooms:02}", position + 1);
            let id = format!("{}-R{number}", self.id);
            self.rooms.push(Room { id, department: position, number, kind: room_kind });
        }
        let room = self.rooms.len() - 1;
        let letter = char::from(b'A' + (nth % per_room) as u8);
        self.beds.push(Bed {
            id: format!("{}-B{:04}", self.id, index + 1),
            department: position,
            room,
            label: format!("{}{letter}", self.rooms[room].number),
            kind,
            is_staffed: kind != BedKind::Surge,
            state: BedState::Free,
        });
        match kind {
            BedKind::Standard | BedKind::Icu => department.free.insert(index),
            BedKind::Surge => department.free_surge.insert(index),
            BedKind::Cot => department.free_cots.insert(index),
        };
    }

    /// The next person on the staff; the three jobs take turns, so each numbers its people without gaps.
    fn worker(&self, job: Job, department: usize, kind: Kind, chance: &mut Chance, today: i32) -> Worker {
        let (letter, title) = match job {
            Job::Physician => ("P", specialty(kind)),
            Job::Nurse => ("N", chance.pick(&["RN", "LPN", "Charge nurse", "Nurse practitioner"])),
            Job::Employee => ("S", chance.pick(&["Clerk", "Transport", "Cleaning", "Technician", "Pharmacist"])),
        };
        let names = if chance.yes(0.55) { catalog::FEMALE_NAMES } else { catalog::MALE_NAMES };
        let hired = today - 30 - chance.below(6_000) as i32;
        let left = (job == Job::Employee && chance.yes(0.05)).then(|| today - chance.below(25) as i32);
        Worker {
            id: format!("{}-{letter}{:04}", self.id, self.staff.len() / 3 + 1),
            job,
            department,
            first_name: chance.pick(names),
            last_name: chance.pick(catalog::LAST_NAMES),
            title,
            hired,
            left,
        }
    }

    /// Registers a new person (`newborn`: the mother's position) and returns the position in `patients`.
    pub(crate) fn register(&mut self, chance: &mut Chance, at: i64, today: i32, newborn: Option<usize>) -> usize {
        let index = self.patients.len();
        let is_female = chance.yes(0.52);
        let names = if is_female { catalog::FEMALE_NAMES } else { catalog::MALE_NAMES };
        let first_name: &'static str = chance.pick(names);
        let born = match newborn {
            Some(_) => today,
            None => today - (age(chance) * 365.25) as i32,
        };
        let last_name: &'static str = match newborn {
            Some(mother) => self.patients[mother].last_name,
            None => chance.pick(catalog::LAST_NAMES),
        };
        let city = if chance.yes(0.8) { self.city } else { chance.below(catalog::CITIES.len()) };
        let mut patient = Patient {
            id: format!("{}-PT{:07}", self.id, index + 1),
            // Record numbers begin with zeros: they are text, and a reader that takes them for numbers is caught.
            mrn: format!("{:08}", 40_000 + index),
            national_id: national_id(self.number, index),
            first_name,
            last_name,
            is_female,
            born,
            phone: phone(chance),
            email: format!("{}.{}{}@example.com", ascii(first_name), ascii(last_name), index + 1),
            address: address(chance),
            city,
            postal_code: format!("{}{:02}", catalog::CITIES[city].1, chance.below(99) + 1),
            insurances: Vec::new(),
            registered_at: at,
            deceased: None,
            updated_at: at,
            is_here: false,
            is_merged: false,
        };
        if chance.yes(0.9) {
            patient.insurances.push(self.insurance(chance, born, today));
        }
        self.patients.push(patient);
        index
    }

    /// A cover that starts some time before `today`.
    pub(crate) fn insurance(&mut self, chance: &mut Chance, born: i32, today: i32) -> Insurance {
        self.insurance_count += 1;
        let age = (today - born) / 365;
        let payer = if age >= 65 && chance.yes(0.85) { 0 } else { 1 + chance.weighted(&catalog::PAYER_WEIGHTS[1..]) };
        let level = chance.weighted(&[0.5, 0.3, 0.2]);
        let start = today - chance.below(300) as i32;
        Insurance {
            id: format!("{}-I{:07}", self.id, self.insurance_count),
            payer,
            plan: ["Bronze", "Silver", "Gold"][level],
            coverage: ["Basic", "Comprehensive", "Premium"][level],
            premium_cents: (chance.lognormal([12_000.0, 26_000.0, 48_000.0][level], 0.25)) as i64,
            start,
            end: start + 365,
        }
    }

    /// Changes a living patient's address, phone or cover; the material of slowly changing dimensions.
    pub(crate) fn change_patient(&mut self, index: usize, chance: &mut Chance, at: i64, today: i32) {
        match chance.weighted(&[0.4, 0.35, 0.25]) {
            0 => {
                let city = chance.below(catalog::CITIES.len());
                let postal_code = format!("{}{:02}", catalog::CITIES[city].1, chance.below(99) + 1);
                let patient = &mut self.patients[index];
                patient.address = address(chance);
                patient.city = city;
                patient.postal_code = postal_code;
            }
            1 => self.patients[index].phone = phone(chance),
            _ => {
                let mut insurance = self.insurance(chance, self.patients[index].born, today);
                insurance.start = today;
                insurance.end = today + 365;
                let patient = &mut self.patients[index];
                if let Some(last) = patient.insurances.last_mut() {
                    last.end = last.end.min(today - 1).max(last.start);
                }
                patient.insurances.push(insurance);
            }
        }
        self.patients[index].updated_at = at;
    }

    /// A random patient who is alive, not here and for whom `fits` holds; a new registration when none is found quickly.
    pub(crate) fn someone(
        &mut self,
        chance: &mut Chance,
        at: i64,
        today: i32,
        new_share: f64,
        fits: impl Fn(&Patient) -> bool,
    ) -> Option<usize> {
        if chance.yes(new_share) {
            let index = self.register(chance, at, today, None);
            if fits(&self.patients[index]) {
                return Some(index);
            }
        }
        for _ in 0..60 {
            let index = chance.below(self.patients.len());
            let patient = &self.patients[index];
            let is_free = !patient.is_here && !patient.is_merged && patient.deceased.is_none();
            if is_free && patient.registered_at <= at && fits(patient) {
                return Some(index);
            }
        }
        None
    }

    /// Takes a bed of the department out of use or brings one back, and sometimes names a new head.
    pub(crate) fn change_department(&mut self, index: usize, chance: &mut Chance, at: i64) {
        let department = &mut self.departments[index];
        if chance.yes(0.35) {
            department.head = department.physicians[chance.below(department.physicians.len())];
        } else if matches!(department.kind, Kind::Emergency | Kind::Outpatient) {
            return;
        } else {
            let closed = self.beds.iter().position(|bed| bed.department == index && bed.state == BedState::Closed);
            match (closed, department.free.last().copied()) {
                (Some(bed), _) => {
                    self.beds[bed].state = BedState::Free;
                    self.beds[bed].is_staffed = true;
                    department.free.insert(bed);
                    department.staffed_beds += 1;
                }
                (None, Some(bed)) => {
                    department.free.remove(&bed);
                    self.beds[bed].state = BedState::Closed;
                    self.beds[bed].is_staffed = false;
                    department.staffed_beds -= 1;
                }
                (None, None) => return,
            }
        }
        department.updated_at = at;
    }

    /// How this hospital's system writes a gender; hospitals of one network disagree.
    pub(crate) fn gender(&self, is_female: bool) -> &'static str {
        let style = self.number % 3;
        match (style, is_female) {
            (1, true) => "F",
            (1, false) => "M",
            (2, true) => "female",
            (2, false) => "male",
            (_, true) => "Female",
            (_, false) => "Male",
        }
    }
}

fn specialty(kind: Kind) -> &'static str {
    match kind {
        Kind::Emergency => "Emergency medicine",
        Kind::Medical => "Internal medicine",
        Kind::Surgical => "General surgery",
        Kind::Icu => "Critical care",
        Kind::Maternity => "Obstetrics",
        Kind::Pediatric => "Pediatrics",
        Kind::Outpatient => "Family medicine",
    }
}

/// Age in years; hospitals see the very young and the old more often.
fn age(chance: &mut Chance) -> f64 {
    let (low, high) =
        [(0.1, 16.0), (16.0, 45.0), (45.0, 70.0), (70.0, 97.0)][chance.weighted(&[0.15, 0.33, 0.28, 0.24])];
    chance.between(low, high)
}

/// A national id that nobody else in the network has: equal ids mean one person. The factor has no divisor in common with the
/// number of ids, so that neighbours in the register are far apart.
fn national_id(hospital: usize, index: usize) -> String {
    const IDS: usize = 99 * 98 * 10_000;
    let id = (hospital * 970_000 + index) * 48_271 % IDS;
    format!("{:03}-{:02}-{:04}", 900 + id / 980_000, 1 + id / 10_000 % 98, id % 10_000)
}

fn phone(chance: &mut Chance) -> String {
    format!("{:03}-555-{:04}", 200 + chance.below(700), chance.below(10_000))
}

fn address(chance: &mut Chance) -> String {
    format!("{} {}", 1 + chance.below(999), chance.pick(catalog::STREETS))
}

fn ascii(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphabetic).map(|letter| letter.to_ascii_lowercase()).collect()
}
