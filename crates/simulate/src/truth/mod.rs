//! The truth beside the extracts, in `_truth/`: which rows were damaged and how, what they should have been, and the figures a
//! warehouse has to come to.
//!
//! | file | holds |
//! |---|---|
//! | `dirty_rows.csv` | every damaged line: entity, key, kind, file, line, column, original, damaged, is_decidable, defect, pair_line, reason |
//! | `known_twins.csv` | rows a rule against duplicates names rightly though nothing was damaged: second registrations |
//! | `clean/<entity>.csv` | the undamaged form of damaged rows, in the entity's usual columns, then file and line |
//! | `patient_versions.csv`, `department_versions.csv` | the states of each clean row: key, version_number, valid_from (its `updated_at`), attributes |
//! | `kpis.json` | figures of the clean rows, and `expected`: of what is left when the withheld rows are absent |
//!
//! `file` is the path below the landing folder and `line` the position in it, both as a loader records them. Lines with one
//! `defect` are one damaged row that full extracts brought again; a loader keeps one of them. `pair_line` is the other row of a
//! pair: the first registration, the same line before, the right one of two that conflict.

mod csv;
mod writer;

pub(crate) use csv::push_csv;
pub(crate) use writer::{FileTruth, TruthWriter};

use crate::error::SimulateError;
use crate::figures::{DepartmentFigures, HospitalFigures};
use crate::kind::DirtKind;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// One damaged line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirtyRow {
    /// Name of the entity.
    pub entity: String,
    /// The row's key; for damage to a file the column or date it is about.
    pub key: String,
    /// What was done.
    pub kind: DirtKind,
    /// Path below the landing folder.
    pub file: String,
    /// Position in the file: line, or in a JSON array record, from 1; 0 for a file as a whole.
    pub line: u64,
    /// The damaged column; several with `;` between them.
    pub column: String,
    /// What the column should hold.
    pub original: String,
    /// What it holds.
    pub damaged: String,
    /// Whether it shows in what a loader keeps.
    pub is_decidable: bool,
    /// Number of the damage; equal where extracts brought the same damaged row again.
    pub defect: u64,
    /// The other row of a pair in the same file.
    pub pair_line: Option<u64>,
    /// Why it does not show.
    pub reason: String,
}

/// A row that a rule of a kind names rightly, though nothing was damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwinRow {
    /// Name of the entity.
    pub entity: String,
    /// The row's key.
    pub key: String,
    /// Kind of the rule.
    pub kind: DirtKind,
    /// Path below the landing folder.
    pub file: String,
    /// Position in the file.
    pub line: u64,
}

/// Figures of the whole network over all days.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Discharges of inpatients, newborns included.
    pub inpatient_discharges: u32,
    /// Their length of stay in days, on average.
    pub average_length_of_stay_days: f64,
    /// Arrivals in emergency departments.
    pub ed_arrivals: u32,
    /// Patients who left those unseen.
    pub left_without_being_seen: u32,
}

/// One hospital on one local day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HospitalDay {
    /// Local date that ends with the census's midnight.
    pub date: String,
    /// Hospital.
    pub hospital_id: String,
    /// Figures of the clean rows.
    #[serde(flatten)]
    pub figures: HospitalFigures,
    /// Figures without the withheld rows.
    pub expected: HospitalFigures,
}

/// One department on one local day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepartmentDay {
    /// Local date that ends with the census's midnight.
    pub date: String,
    /// Hospital.
    pub hospital_id: String,
    /// Department.
    pub department_id: String,
    /// Its kind, as in the extract.
    pub department_type: String,
    /// Beds that were staffed at that midnight; boarding cots in an emergency department.
    pub staffed_beds: usize,
    /// Figures of the clean rows.
    #[serde(flatten)]
    pub figures: DepartmentFigures,
    /// Figures without the withheld rows.
    pub expected: DepartmentFigures,
}

/// `kpis.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kpis {
    /// What the figures are, in words.
    pub definition: String,
    /// Figures of the clean rows of the network.
    #[serde(flatten)]
    pub totals: Totals,
    /// The same without the withheld rows.
    pub expected: Totals,
    /// By day, then hospital.
    pub hospital_days: Vec<HospitalDay>,
    /// By day, then hospital, then department.
    pub department_days: Vec<DepartmentDay>,
}

/// What `_truth/` says about the rows and the figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// Damaged lines, in the order of their files and lines.
    pub dirty_rows: Vec<DirtyRow>,
    /// Rows that a rule names rightly without damage.
    pub known_twins: Vec<TwinRow>,
    /// The figures.
    pub kpis: Kpis,
}

const FOLDER: &str = "_truth";
const DIRTY_ROWS: &str = "dirty_rows.csv";
const DIRTY_COLUMNS: &str = "entity,key,kind,file,line,column,original,damaged,is_decidable,defect,pair_line,reason";
const TWINS: &str = "known_twins.csv";
const TWIN_COLUMNS: &str = "entity,key,kind,file,line";
const KPIS: &str = "kpis.json";

/// Reads the truth of a simulation from the folder it was written to, or from the `_truth` folder in it.
///
/// # Errors
/// [`SimulateError::Read`] when a file is missing, [`SimulateError::InvalidTruth`] when it is not what a simulation writes.
pub fn read(dir: &Path) -> Result<Truth, SimulateError> {
    let inner = dir.join(FOLDER);
    let folder = if inner.is_dir() { inner } else { dir.to_owned() };
    let kpis_path = folder.join(KPIS);
    let text = fs::read_to_string(&kpis_path).map_err(SimulateError::read(&kpis_path))?;
    let kpis = serde_json::from_str(&text).map_err(|error| SimulateError::InvalidTruth {
        path: kpis_path,
        line: error.line(),
        problem: error.to_string(),
    })?;
    let dirty_rows = table(folder.join(DIRTY_ROWS), DIRTY_COLUMNS, |row| {
        Ok(DirtyRow {
            entity: row.text(0),
            key: row.text(1),
            kind: row.kind(2)?,
            file: row.text(3),
            line: row.number(4)?,
            column: row.text(5),
            original: row.text(6),
            damaged: row.text(7),
            is_decidable: row.number::<bool>(8)?,
            defect: row.number(9)?,
            pair_line: if row.text(10).is_empty() { None } else { Some(row.number(10)?) },
            reason: row.text(11),
        })
    })?;
    let known_twins = table(folder.join(TWINS), TWIN_COLUMNS, |row| {
        Ok(TwinRow {
            entity: row.text(0),
            key: row.text(1),
            kind: row.kind(2)?,
            file: row.text(3),
            line: row.number(4)?,
        })
    })?;
    Ok(Truth { dirty_rows, known_twins, kpis })
}

/// One record of a truth file.
struct Record<'a> {
    path: &'a Path,
    line: usize,
    fields: Vec<String>,
}

impl Record<'_> {
    fn text(&self, at: usize) -> String {
        self.fields.get(at).cloned().unwrap_or_default()
    }

    fn number<T: FromStr>(&self, at: usize) -> Result<T, SimulateError> {
        self.text(at).parse().map_err(|_| self.problem(format!("field {} cannot be read", at + 1)))
    }

    fn kind(&self, at: usize) -> Result<DirtKind, SimulateError> {
        let name = self.text(at);
        DirtKind::from_name(&name).ok_or_else(|| self.problem(format!("{name} is no kind of dirt")))
    }

    fn problem(&self, problem: String) -> SimulateError {
        SimulateError::InvalidTruth { path: self.path.to_owned(), line: self.line, problem }
    }
}

fn table<T>(
    path: PathBuf,
    columns: &str,
    row: impl Fn(&Record<'_>) -> Result<T, SimulateError>,
) -> Result<Vec<T>, SimulateError> {
    let text = fs::read_to_string(&path).map_err(SimulateError::read(&path))?;
    let width = columns.split(',').count();
    let mut rows = Vec::new();
    for (line, fields) in csv::records(&text) {
        let record = Record { path: &path, line, fields };
        if line == 1 {
            if record.fields.join(",") != columns {
                return Err(record.problem(format!("the header is not {columns}")));
            }
        } else if record.fields.len() != width {
            return Err(record.problem(format!("{} fields instead of {width}", record.fields.len())));
        } else {
            rows.push(row(&record)?);
        }
    }
    Ok(rows)
}
