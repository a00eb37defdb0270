//! The kinds of damage, each with a fixed name: the truth lists them, rules bear them, `score` compares the two.
//!
//! Every kind shows in the data it is injected into; how, is told by [`DirtKind::sign`]. Where a kind cannot show for a
//! particular row, the row is listed with `is_decidable` false and the reason.

use crate::error::SimulateError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What was done to a row or a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DirtKind {
    /// An encounter that has been on a ward without its admission time.
    MissingAdmissionTime,
    /// A second record of a patient under another id.
    DuplicatePatient,
    /// A time beyond the extract's own day.
    FutureTimestamp,
    /// A time in the year 1900.
    #[serde(rename = "timestamp_1900")]
    Timestamp1900,
    /// Admission and discharge changed places.
    DischargeBeforeAdmission,
    /// A wall-clock time that the clock shows twice (autumn) or never (spring).
    AmbiguousLocalTime,
    /// A line of a file stands there twice.
    RepeatedLine,
    /// Two rows of one file with equal key and `updated_at` and different content; the second is right.
    ConflictingDuplicate,
    /// A department that no extract of departments holds.
    UnknownDepartment,
    /// A birth more than 120 years ago.
    #[serde(rename = "age_over_120")]
    AgeOver120,
    /// A birth after the registration.
    NegativeAge,
    /// The end of a line is missing.
    TruncatedLine,
    /// Text in a column of numbers.
    NotANumber,
    /// A gender in none of the spellings the hospitals agreed on.
    GenderSpelling,
    /// UTF-8 read as a single-byte encoding.
    DamagedEncoding,
    /// From one day on an extract has one more column.
    ColumnAdded,
    /// From one day on a column bears another name.
    ColumnRenamed,
    /// From one day on two columns have changed places.
    ColumnReordered,
    /// A row that missed its day's extract and came with the next.
    LateRow,
    /// A day's file that was delivered after the next day's.
    OutOfOrderFile,
}

/// Every kind, in the order of reports.
pub const DIRT_KINDS: [DirtKind; 20] = [
    DirtKind::MissingAdmissionTime,
    DirtKind::DuplicatePatient,
    DirtKind::FutureTimestamp,
    DirtKind::Timestamp1900,
    DirtKind::DischargeBeforeAdmission,
    DirtKind::AmbiguousLocalTime,
    DirtKind::RepeatedLine,
    DirtKind::ConflictingDuplicate,
    DirtKind::UnknownDepartment,
    DirtKind::AgeOver120,
    DirtKind::NegativeAge,
    DirtKind::TruncatedLine,
    DirtKind::NotANumber,
    DirtKind::GenderSpelling,
    DirtKind::DamagedEncoding,
    DirtKind::ColumnAdded,
    DirtKind::ColumnRenamed,
    DirtKind::ColumnReordered,
    DirtKind::LateRow,
    DirtKind::OutOfOrderFile,
];

impl DirtKind {
    /// Its name in options, truth files and rules.
    pub fn name(self) -> &'static str {
        match self {
            Self::MissingAdmissionTime => "missing_admission_time",
            Self::DuplicatePatient => "duplicate_patient",
            Self::FutureTimestamp => "future_timestamp",
            Self::Timestamp1900 => "timestamp_1900",
            Self::DischargeBeforeAdmission => "discharge_before_admission",
            Self::AmbiguousLocalTime => "ambiguous_local_time",
            Self::RepeatedLine => "repeated_line",
            Self::ConflictingDuplicate => "conflicting_duplicate",
            Self::UnknownDepartment => "unknown_department",
            Self::AgeOver120 => "age_over_120",
            Self::NegativeAge => "negative_age",
            Self::TruncatedLine => "truncated_line",
            Self::NotANumber => "not_a_number",
            Self::GenderSpelling => "gender_spelling",
            Self::DamagedEncoding => "damaged_encoding",
            Self::ColumnAdded => "column_added",
            Self::ColumnRenamed => "column_renamed",
            Self::ColumnReordered => "column_reordered",
            Self::LateRow => "late_row",
            Self::OutOfOrderFile => "out_of_order_file",
        }
    }

    /// The kind with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        DIRT_KINDS.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether a row damaged this way is kept out of the tables (rejected or quarantined) until somebody corrects it.
    pub fn is_withheld(self) -> bool {
        matches!(
            self,
            Self::MissingAdmissionTime
                | Self::FutureTimestamp
                | Self::Timestamp1900
                | Self::DischargeBeforeAdmission
                | Self::AmbiguousLocalTime
                | Self::AgeOver120
                | Self::NegativeAge
                | Self::TruncatedLine
                | Self::NotANumber
        )
    }

    /// Whether it concerns a file as a whole: the truth names the file, and its line is that of the header (or 0).
    pub fn is_of_file(self) -> bool {
        matches!(self, Self::ColumnAdded | Self::ColumnRenamed | Self::ColumnReordered | Self::OutOfOrderFile)
    }

    /// How it shows in the data.
    pub fn sign(self) -> &'static str {
        match self {
            Self::MissingAdmissionTime => "expected_discharge_date is filled and admitted_at is empty",
            Self::DuplicatePatient => {
                "another patient of the same extract has the same national_id, names without regard to case, and birth"
            }
            Self::FutureTimestamp => "a time of the row lies after the day in its file's name",
            Self::Timestamp1900 => "a time of the row lies in 1900",
            Self::DischargeBeforeAdmission => "discharged_at < admitted_at",
            Self::AmbiguousLocalTime => "the zone's clock shows the time twice or never; clean rows have no such time",
            Self::RepeatedLine => "a line equals the line before it",
            Self::ConflictingDuplicate => "key and updated_at stand twice in one file, with other values beside them",
            Self::UnknownDepartment => "department_id is not in the extracts of departments",
            Self::AgeOver120 => "date_of_birth lies more than 121 years before the extract",
            Self::NegativeAge => "date_of_birth lies after the date of registered_at",
            Self::TruncatedLine => "the line has too few fields (updated_at is empty), or is no JSON",
            Self::NotANumber => "the text of a column of numbers is filled and no number",
            Self::GenderSpelling => "gender is none of F, M, female, male, whatever the case",
            Self::DamagedEncoding => "a name holds `Ã`",
            Self::ColumnAdded => "the header has a name that the file before did not have",
            Self::ColumnRenamed => "the header lacks a name of the file before and has another in its place",
            Self::ColumnReordered => "the header has the names of the file before in another order",
            Self::LateRow => "its own time of change lies before the day in its file's name, which is not the first",
            Self::OutOfOrderFile => "the file arrives after one of a later day",
        }
    }
}

impl fmt::Display for DirtKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DirtKind {
    type Err = SimulateError;

    fn from_str(text: &str) -> Result<Self, SimulateError> {
        Self::from_name(text.trim()).ok_or_else(|| {
            let names: Vec<&str> = DIRT_KINDS.iter().map(|kind| kind.name()).collect();
            SimulateError::UnknownName { what: "kind of dirt", name: text.to_owned(), known: names.join(", ") }
        })
    }
}
