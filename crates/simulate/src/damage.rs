//! Damage to the values of one row: as real systems do it, in one way per row, and so that it shows.

use crate::clock::{self, DAY, HOUR};
use crate::extract::Entity;
use crate::kind::DirtKind;
use chrono::{Days, NaiveDate};

/// What was done, and where.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Damage {
    pub kind: DirtKind,
    /// The damaged column; several with `;` between them, none for damage to a line.
    pub column: String,
    /// What the column held, in the order of the columns.
    pub original: String,
    pub damaged: String,
}

impl Damage {
    /// Damage that concerns no single value.
    pub(crate) fn of_line(kind: DirtKind) -> Self {
        Self { kind, column: String::new(), original: String::new(), damaged: String::new() }
    }
}

/// The years of the extracts: what is in the future, or too long ago, depends on them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Years {
    pub first: i32,
    pub last: i32,
}

/// The hour of a clock change that the clock shows twice or never.
#[derive(Debug, Clone)]
pub(crate) struct OddHour {
    /// `YYYY-MM-DD`.
    date: String,
    hour: i64,
}

impl OddHour {
    /// `start`: its first second, local.
    pub(crate) fn new(start: i64) -> Self {
        Self {
            date: clock::date_of(start.div_euclid(DAY) as i32).to_string(),
            hour: start.rem_euclid(DAY).div_euclid(HOUR),
        }
    }

    /// The time moved into the hour, if it lies behind the hour on the same day.
    fn moved(&self, time: &str) -> Option<String> {
        let rest = time.strip_prefix(self.date.as_str())?.strip_prefix(' ')?;
        let hour: i64 = rest.get(..2)?.parse().ok()?;
        (hour > self.hour).then(|| format!("{} {:02}{}", self.date, self.hour, &rest[2..]))
    }
}

/// Spellings of F and M that none of the hospitals uses.
const FEMALE_SPELLINGS: [&str; 5] = ["fem.", "W", "Femal", "woman", "2"];
const MALE_SPELLINGS: [&str; 5] = ["masc.", "Mael", "man", "mal.", "1"];

/// A row about to be damaged.
pub(crate) struct Target<'a> {
    pub entity: Entity,
    pub fields: &'a mut [String],
    pub years: Years,
    pub odd_hours: &'a [OddHour],
}

impl Target<'_> {
    /// Damages the row; `None`, and the row untouched, where the kind does not fit.
    pub(crate) fn apply(&mut self, kind: DirtKind, draw: u64) -> Option<Damage> {
        match kind {
            DirtKind::DischargeBeforeAdmission => self.swap(kind, "admitted_at", "discharged_at"),
            DirtKind::MissingAdmissionTime => {
                // A patient who waits for a bed has no admission time either; who has a day of leaving has had a bed.
                if self.get("expected_discharge_date").is_empty() {
                    return None;
                }
                self.replace(kind, "admitted_at", String::new())
            }
            DirtKind::UnknownDepartment => self.replace(kind, "department_id", format!("X99-D{:02}", draw % 90)),
            DirtKind::GenderSpelling => {
                let is_female = self.get("gender").to_lowercase().starts_with('f');
                let spellings = if is_female { FEMALE_SPELLINGS } else { MALE_SPELLINGS };
                self.replace(kind, "gender", spellings[draw as usize % spellings.len()].to_owned())
            }
            DirtKind::AgeOver120 => {
                let year = self.years.first - 123 - (draw % 30) as i32;
                self.replace_year(kind, "date_of_birth", year)
            }
            DirtKind::NegativeAge => self.birth_after_registration(draw),
            DirtKind::FutureTimestamp => self.future(),
            DirtKind::Timestamp1900 => {
                let column = match self.entity {
                    Entity::Transfers => "started_at",
                    Entity::Dispensed => "dispensed_at",
                    Entity::Adt => "occurred_at",
                    Entity::Attendance => "clock_in_at",
                    Entity::Appointments => "booked_at",
                    Entity::Claims => "submitted_at",
                    _ => return None,
                };
                self.replace_year(kind, column, 1900)
            }
            DirtKind::AmbiguousLocalTime => {
                let column = match self.entity {
                    // Only the first time of a row: moved back it stays the first.
                    Entity::Encounters => "arrived_at",
                    Entity::Adt => "occurred_at",
                    Entity::Dispensed => "dispensed_at",
                    _ => return None,
                };
                let moved = self.odd_hours.iter().find_map(|odd| odd.moved(self.get(column)))?;
                self.replace(kind, column, moved)
            }
            DirtKind::NotANumber => self.not_a_number(draw),
            DirtKind::DamagedEncoding => {
                let (column, damaged) = ["last_name", "first_name"]
                    .into_iter()
                    .find_map(|column| Some((column, damaged_name(self.get(column))?)))?;
                self.replace(kind, column, damaged)
            }
            DirtKind::ConflictingDuplicate => self.conflict(draw),
            DirtKind::DuplicatePatient => Some(self.duplicate()),
            _ => None,
        }
    }

    /// Another state of the same row: only values that no figure of the truth depends on.
    fn conflict(&mut self, draw: u64) -> Option<Damage> {
        let (column, value) = match self.entity {
            Entity::Patients => ("phone", format!("{:03}-555-{:04}", 200 + draw % 700, (draw >> 16) % 10_000)),
            Entity::Encounters => ("diagnosis_code", "R69".to_owned()),
            Entity::Transfers => ("reason", "other".to_owned()),
            Entity::Appointments => ("appointment_type", "phone".to_owned()),
            Entity::Billing => ("payment_method", "cheque".to_owned()),
            _ => return None,
        };
        self.replace(DirtKind::ConflictingDuplicate, column, value)
    }

    /// A second registration of the same person: another key, the rest the same but for the case of the name.
    fn duplicate(&mut self) -> Damage {
        let original = self.get("patient_id").to_owned();
        let changes = [
            ("patient_id", format!("{original}-2")),
            ("mrn", format!("9{}", self.get("mrn"))),
            ("last_name", self.get("last_name").to_uppercase()),
        ];
        for (column, value) in changes {
            self.replace(DirtKind::DuplicatePatient, column, value);
        }
        Damage {
            kind: DirtKind::DuplicatePatient,
            column: "patient_id".to_owned(),
            damaged: format!("{original}-2"),
            original,
        }
    }

    fn birth_after_registration(&mut self, draw: u64) -> Option<Damage> {
        let kind = DirtKind::NegativeAge;
        if !self.get("deceased_date").is_empty() {
            return None;
        }
        if draw & 1 == 0 {
            return self.replace_year(kind, "date_of_birth", self.years.last + 75 + (draw >> 8) as i32 % 20);
        }
        let registered: NaiveDate = self.get("registered_at").get(..10)?.parse().ok()?;
        let born = registered.checked_add_days(Days::new(30 + (draw >> 8) % 300))?;
        self.replace(kind, "date_of_birth", born.to_string())
    }

    /// Moves a time so far on that no other order of the row's times breaks.
    fn future(&mut self) -> Option<Damage> {
        let kind = DirtKind::FutureTimestamp;
        let year = (self.years.last + 10).max(2099);
        match self.entity {
            Entity::Patients if self.get("deceased_date").is_empty() => self.replace_year(kind, "registered_at", year),
            Entity::Encounters => self.replace_year(kind, "discharged_at", year),
            Entity::Transfers => self
                .replace_year(kind, "ended_at", year)
                .or_else(|| self.get("ended_at").is_empty().then(|| self.replace_year(kind, "started_at", year))?),
            Entity::Dispensed => self.replace_year(kind, "dispensed_at", year),
            // The clock of a whole system is wrong: a message is not recorded before it happens.
            Entity::Adt => {
                let before = self.get("recorded_at").to_owned();
                let recorded = self.replace_year(kind, "recorded_at", year)?;
                let Some(occurred) = self.replace_year(kind, "occurred_at", year) else {
                    self.replace(kind, "recorded_at", before);
                    return None;
                };
                Some(Damage {
                    kind,
                    column: "occurred_at;recorded_at".to_owned(),
                    original: format!("{};{}", occurred.original, recorded.original),
                    damaged: format!("{};{}", occurred.damaged, recorded.damaged),
                })
            }
            _ => None,
        }
    }

    fn not_a_number(&mut self, draw: u64) -> Option<Damage> {
        let filled: Vec<&'static str> =
            self.entity.numbers().iter().copied().filter(|name| !self.get(name).is_empty()).collect();
        let column = *filled.get(draw as usize % filled.len().max(1))?;
        let text = match draw >> 32 & 3 {
            0 => "N/A".to_owned(),
            1 => "unknown".to_owned(),
            2 => format!("{} USD", self.get(column)),
            _ => self.get(column).replace('.', ",") + "O",
        };
        self.replace(DirtKind::NotANumber, column, text)
    }

    fn position(&self, column: &str) -> Option<usize> {
        self.entity.columns().iter().position(|name| *name == column)
    }

    fn get(&self, column: &str) -> &str {
        self.position(column).map_or("", |position| self.fields[position].as_str())
    }

    /// Puts another value in the place of a filled one.
    fn replace(&mut self, kind: DirtKind, column: &str, value: String) -> Option<Damage> {
        let field = &mut self.fields[self.entity.columns().iter().position(|name| *name == column)?];
        if field.is_empty() || *field == value {
            return None;
        }
        let original = std::mem::replace(field, value.clone());
        Some(Damage { kind, column: column.to_owned(), original, damaged: value })
    }

    /// Replaces the year of a date or time and keeps the rest.
    fn replace_year(&mut self, kind: DirtKind, column: &str, year: i32) -> Option<Damage> {
        let value = self.get(column);
        // 29 February does not exist in every year, and the hours from 1 to 3 are not unambiguous in every year.
        let is_risky = value.contains("-02-29") || matches!(value.get(11..13), Some("01" | "02"));
        if value.len() < 10 || is_risky {
            return None;
        }
        let value = format!("{year:04}{}", &value[4..]);
        self.replace(kind, column, value)
    }

    fn swap(&mut self, kind: DirtKind, one: &str, other: &str) -> Option<Damage> {
        let (first, second) = (self.position(one)?, self.position(other)?);
        if self.fields[first].is_empty() || self.fields[second].is_empty() || self.fields[first] >= self.fields[second]
        {
            return None;
        }
        let original = format!("{};{}", self.fields[first], self.fields[second]);
        self.fields.swap(first, second);
        let damaged = format!("{};{}", self.fields[first], self.fields[second]);
        Some(Damage { kind, column: format!("{one};{other}"), original, damaged })
    }
}

/// UTF-8 read as Latin-1, once: what `é` becomes when two systems disagree. Names without such a letter stay whole.
fn damaged_name(name: &str) -> Option<String> {
    if name.is_ascii() {
        return None;
    }
    // The bytes 0x80 to 0x9F are no letters in Latin-1; such systems print `?`.
    Some(name.bytes().map(|byte| if (0x80..0xA0).contains(&byte) { '?' } else { char::from(byte) }).collect())
}
