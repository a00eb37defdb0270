//! Real extracts, read without a word about their format, against the known answers beside them.

use std::path::{Path, PathBuf};

use serde_json::json;
use wardlake_testkit::skip::skipped_everywhere;

use crate::support::{Loaded, load_file, table};

/// The folder of acceptance data, or `None` (with a message) where this machine has none: they are not part of the repository.
pub(crate) fn data(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    skipped_everywhere(format_args!("{} is not there", path.display()));
    None
}

fn load(path: &Path) -> Loaded {
    let loaded = load_file(path, &table(&json!({})), None).unwrap();
    assert_eq!(loaded.rejections(), [""; 0], "{}", path.display());
    loaded
}

#[test]
fn hms() {
    let Some(folder) = data("hms") else { return };
    for (file, delimiter, columns, rows) in [
        ("raw_appointments.csv", ",", 15, 52),
        ("raw_billing.csv", ",", 15, 50),
        ("raw_hospital.csv", ",", 15, 54),
        ("raw_insurance.csv", ",", 16, 50),
        ("raw_patients.csv", ",", 15, 52),
        ("raw_physicians.csv", ",", 15, 54),
        ("change_delimeters/appointments.csv", "~", 15, 50),
        ("change_delimeters/billing.csv", "\t", 15, 50),
        ("change_delimeters/hospitals.csv", ";", 15, 50),
        ("change_delimeters/insurance.csv", "^", 16, 50),
        ("change_delimeters/patients.csv", "|", 15, 50),
        ("change_delimeters/physicians.csv", ":", 15, 50),
        ("list/lists.csv", ",", 2, 5),
    ] {
        let loaded = load(&folder.join(file));
        let report = &loaded.report;
        assert_eq!(report.delimiter.as_deref(), Some(delimiter), "{file}");
        assert_eq!((report.columns.len(), report.rows), (columns, rows), "{file}");
        assert!(loaded.rows.iter().flatten().all(|(_, value)| value.as_ref().is_none_or(|text| !text.contains('\r'))));
    }
    let list = load(&folder.join("list/lists.csv"));
    assert_eq!(list.report.columns, ["code", "column_2"]);
    assert_eq!(list.lines()[4], "cd|∅");
    let quoted = |file: &str, column: &str, needle: char| {
        let loaded = load(&folder.join(file));
        let values = loaded.rows.iter().flatten().filter(|(name, _)| name == column);
        values.filter(|(_, value)| value.as_ref().is_some_and(|text| text.contains(needle))).count()
    };
    assert_eq!(quoted("change_delimeters/hospitals.csv", "hospital_name", ';'), 16);
    assert_eq!(quoted("change_delimeters/insurance.csv", "insurance_name", '^'), 22);
}

#[test]
fn registry_and_patients() {
    let Some(folder) = data("registry") else { return };
    for (file, rows) in [
        ("doctors.csv", 191),
        ("nurses.csv", 488),
        ("patients.csv", 5500),
        ("pharmaceuticals.csv", 796),
        ("diseases_enriched_filled.csv", 796),
    ] {
        assert_eq!(load(&folder.join(file)).report.rows, rows, "{file}");
    }
    let patients = load(&folder.join("patients.csv"));
    let zips = patients.rows.iter().flatten().filter(|(name, value)| name == "zip_code" && value.is_none());
    assert_eq!(zips.count(), 5500);
    let Some(folder) = data("patients-tab") else { return };
    for (file, rows) in [("patient_2025_01_01.txt", 25), ("patient_2025_01_02.txt", 48), ("patient_2025_01_03.txt", 15)]
    {
        let loaded = load(&folder.join(file));
        assert_eq!((loaded.report.delimiter.as_deref(), loaded.report.rows), (Some("\t"), rows), "{file}");
        assert_eq!(loaded.report.columns, ["FullName", "DOB", "Gender", "Contact", "Address"]);
    }
}

#[test]
fn synthea() {
    let Some(folder) = data("synthea-csv") else { return };
    for (file, rows) in [
        ("patients.csv", 27),
        ("encounters.csv", 604),
        ("conditions.csv", 438),
        ("observations.csv", 990),
        ("medications.csv", 663),
        ("procedures.csv", 249),
        ("claims.csv", 1267),
        ("claims_transactions.csv", 5228),
    ] {
        assert_eq!(load(&folder.join(file)).report.rows, rows, "{file}");
    }
}

#[test]
fn patient_flow() {
    let Some(folder) = data("patient-flow") else { return };
    let loaded = load(&folder.join("events.jsonl"));
    assert_eq!(loaded.report.rows, 2240);
    assert_eq!(
        loaded.report.columns.join(","),
        "patient_id,gender,age,department,admission_time,discharge_time,bed_id,hospital_id"
    );
    assert_eq!(loaded.rows[0][2].1.as_deref(), Some("81"));
    assert_eq!(loaded.positions.last(), Some(&2240));
    assert_eq!(load(&folder.join("fact_patient_flow.csv")).report.rows, 2240);
}
