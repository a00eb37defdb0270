//! Damage, as real extracts show it, whose truth is known.
//!
//! Whether and how a row is damaged follows from the seed and the row's key alone: a source that holds a wrong value sends it
//! every day, so damage never looks like a change. Only damage of the transport (cut, repeated and late lines) depends on the day.

use crate::chance::{hash_text, mix};
use crate::extract::Entity;
use std::fmt::Write;

/// What was done to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DirtKind {
    DischargeBeforeAdmission,
    MissingAdmissionTime,
    DuplicatePatient,
    UnknownDepartment,
    GenderSpelling,
    AgeOver120,
    BornInFuture,
    FutureTimestamp,
    NotANumber,
    TruncatedLine,
    RepeatedLine,
    DamagedEncoding,
    LateRow,
}

impl DirtKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DischargeBeforeAdmission => "discharge_before_admission",
            Self::MissingAdmissionTime => "missing_admission_time",
            Self::DuplicatePatient => "duplicate_patient",
            Self::UnknownDepartment => "unknown_department",
            Self::GenderSpelling => "gender_spelling",
            Self::AgeOver120 => "age_over_120",
            Self::BornInFuture => "born_in_future",
            Self::FutureTimestamp => "future_timestamp",
            Self::NotANumber => "not_a_number",
            Self::TruncatedLine => "truncated_line",
            Self::RepeatedLine => "repeated_line",
            Self::DamagedEncoding => "damaged_encoding",
            Self::LateRow => "late_row",
        }
    }
}

/// Decides about damage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dirt {
    seed: u64,
    rate: f64,
}

impl Dirt {
    pub(crate) fn new(seed: u64, rate: f64) -> Self {
        Self { seed: mix(seed, 0xD1_27), rate }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.rate > 0.0
    }

    /// Damages the fields of a row, or says how its line is to be damaged.
    pub(crate) fn damage(&self, entity: Entity, day: i32, fields: &mut [String]) -> Option<DirtKind> {
        let key = fields.first().map(|key| hash_text(key))?;
        let of_row = mix(self.seed ^ entity as u64, key);
        let (values, transport) = kinds(entity);
        let kinds = (values.len() + transport.len()).max(1) as f64;
        if share(of_row) < self.rate * values.len() as f64 / kinds {
            // The first kind that fits, so that a kind which fits few rows is still met among them.
            let first = mix(of_row, 1) as usize;
            let mut fitting = (0..values.len()).map(|offset| values[first.wrapping_add(offset) % values.len()]);
            return fitting.find(|kind| apply(entity, *kind, mix(of_row, 2), fields));
        }
        let of_day = mix(of_row, day as u64);
        let is_damaged = share(of_day) < self.rate * transport.len() as f64 / kinds;
        is_damaged.then(|| transport[mix(of_day, 1) as usize % transport.len()])
    }
}

/// Returns false where the kind does not fit the row.
fn apply(entity: Entity, kind: DirtKind, draw: u64, fields: &mut [String]) -> bool {
    let mut row = Fields { entity, fields };
    match kind {
        DirtKind::DischargeBeforeAdmission => {
            if row.get("admitted_at").is_empty() || row.get("discharged_at").is_empty() {
                return false;
            }
            row.swap("admitted_at", "discharged_at")
        }
        DirtKind::MissingAdmissionTime => row.replace("admitted_at", ""),
        DirtKind::UnknownDepartment => row.replace("department_id", &format!("X99-D{:02}", draw % 90)),
        DirtKind::GenderSpelling => {
            let is_female = row.get("gender").to_lowercase().starts_with('f');
            let spellings =
                if is_female { ["fem.", "FEMALE ", "W", "Femal", "2"] } else { ["masc.", "MALE ", "m", "Mael", "1"] };
            row.replace("gender", spellings[draw as usize % spellings.len()])
        }
        DirtKind::AgeOver120 => row.replace_start("date_of_birth", &format!("{}", 1850 + draw % 40)),
        DirtKind::BornInFuture => row.replace_start("date_of_birth", &format!("{}", 2101 + draw % 20)),
        DirtKind::FutureTimestamp => {
            let column = if entity == Entity::Patients { "registered_at" } else { "started_at" };
            let column = if entity == Entity::Adt { "occurred_at" } else { column };
            let column = if entity == Entity::Dispensed { "dispensed_at" } else { column };
            row.replace_start(column, "2099")
        }
        DirtKind::NotANumber => {
            let filled: Vec<&str> = entity.numbers().iter().copied().filter(|name| !row.get(name).is_empty()).collect();
            let Some(column) = filled.get(draw as usize % filled.len().max(1)) else { return false };
            let text = match draw >> 32 & 3 {
                0 => "N/A".to_owned(),
                1 => "unknown".to_owned(),
                2 => format!("{} USD", row.get(column)),
                _ => row.get(column).replace('.', ",") + "O",
            };
            row.replace(column, &text)
        }
        DirtKind::DamagedEncoding => {
            let Some(damaged) = damaged_name(row.get("last_name")) else { return false };
            row.replace("last_name", &damaged)
        }
        DirtKind::DuplicatePatient | DirtKind::TruncatedLine | DirtKind::RepeatedLine | DirtKind::LateRow => true,
    }
}

/// A second registration of the same person: another key, the rest the same but for the case of the name.
pub(crate) fn duplicate_patient(fields: &mut [String]) {
    let mut row = Fields { entity: Entity::Patients, fields };
    let id = format!("{}-2", row.get("patient_id"));
    let mrn = format!("9{}", row.get("mrn"));
    let last_name = row.get("last_name").to_uppercase();
    row.replace("patient_id", &id);
    row.replace("mrn", &mrn);
    row.replace("last_name", &last_name);
}

/// A hash as a share, 0.0 to 1.0.
fn share(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// Damage to an entity's values, and damage to its lines on their way.
#[rustfmt::skip]
fn kinds(entity: Entity) -> (&'static [DirtKind], &'static [DirtKind]) {
    use DirtKind as K;
    match entity {
        Entity::Patients => (
            &[K::DuplicatePatient, K::GenderSpelling, K::AgeOver120, K::BornInFuture, K::FutureTimestamp, K::DamagedEncoding],
            &[K::TruncatedLine, K::RepeatedLine],
        ),
        Entity::Encounters => (
            &[K::DischargeBeforeAdmission, K::MissingAdmissionTime, K::UnknownDepartment, K::NotANumber],
            &[K::TruncatedLine, K::RepeatedLine, K::LateRow],
        ),
        Entity::Transfers => (&[K::UnknownDepartment, K::FutureTimestamp], &[K::RepeatedLine, K::LateRow]),
        Entity::Appointments => (&[K::UnknownDepartment, K::NotANumber], &[K::RepeatedLine, K::LateRow]),
        Entity::Billing => (&[K::NotANumber], &[K::TruncatedLine, K::RepeatedLine, K::LateRow]),
        Entity::Claims => (&[K::NotANumber], &[K::RepeatedLine, K::LateRow]),
        Entity::Dispensed => (&[K::UnknownDepartment, K::NotANumber, K::FutureTimestamp], &[K::RepeatedLine, K::LateRow]),
        Entity::Adt => (&[K::UnknownDepartment, K::FutureTimestamp], &[K::RepeatedLine, K::LateRow]),
        Entity::Attendance => (&[K::UnknownDepartment], &[K::RepeatedLine]),
        Entity::Insurance => (&[K::NotANumber], &[K::RepeatedLine]),
        // Master data of the network stays whole: everything else is judged against it.
        _ => (&[], &[]),
    }
}

/// UTF-8 read as Latin-1, once: what `é` becomes when two systems disagree. Names without such a letter stay whole.
fn damaged_name(name: &str) -> Option<String> {
    if name.is_ascii() {
        return None;
    }
    let mut damaged = String::new();
    for byte in name.bytes() {
        // Writing to a String cannot fail. The bytes 0x80 to 0x9F are no letters in Latin-1; such systems print `?`.
        let _ = damaged.write_char(if (0x80..0xA0).contains(&byte) { '?' } else { char::from(byte) });
    }
    Some(damaged)
}

/// Fields by the names of their columns.
struct Fields<'a> {
    entity: Entity,
    fields: &'a mut [String],
}

impl Fields<'_> {
    fn position(&self, column: &str) -> Option<usize> {
        self.entity.columns().iter().position(|name| *name == column)
    }

    fn get(&self, column: &str) -> &str {
        self.position(column).map_or("", |position| self.fields[position].as_str())
    }

    /// Returns whether the column held something else before.
    fn replace(&mut self, column: &str, value: &str) -> bool {
        let Some(position) = self.position(column) else { return false };
        let field = &mut self.fields[position];
        if field.is_empty() || field == value {
            return false;
        }
        value.clone_into(field);
        true
    }

    /// Replaces the beginning (the year of a date) and keeps the rest.
    fn replace_start(&mut self, column: &str, start: &str) -> bool {
        let Some(position) = self.position(column) else { return false };
        let field = &mut self.fields[position];
        // 29 February does not exist in every year.
        if field.len() < start.len() || field.contains("-02-29") {
            return false;
        }
        field.replace_range(..start.len(), start);
        true
    }

    fn swap(&mut self, one: &str, other: &str) -> bool {
        let (Some(one), Some(other)) = (self.position(one), self.position(other)) else { return false };
        let differ = self.fields[one] != self.fields[other];
        self.fields.swap(one, other);
        differ
    }
}
