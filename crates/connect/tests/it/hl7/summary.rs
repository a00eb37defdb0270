//! The real messages, against what another converter read from them.

use std::{collections::HashSet, fs, path::Path};

use chrono::{DateTime, FixedOffset, NaiveDate};
use serde_json::Value;
use wardlake_connect::hl7::{Mapping, Outcome, Row, acknowledge, header, read_row};

use crate::{
    real_data::data,
    support::{load_file, table},
};

struct Expected {
    names: Vec<String>,
    values: Vec<String>,
}

impl Expected {
    fn get(&self, name: &str) -> &str {
        &self.values[self.names.iter().position(|known| known == name).unwrap()]
    }
}

fn expected(folder: &Path) -> Vec<Expected> {
    let loaded = load_file(&folder.join("expected-summary.csv"), &table(&serde_json::json!({})), None).unwrap();
    let of = |row: &Vec<(String, Option<String>)>| Expected {
        names: row.iter().map(|(name, _)| name.clone()).collect(),
        values: row.iter().map(|(_, value)| value.clone().unwrap_or_default()).collect(),
    };
    loaded.rows.iter().map(of).collect()
}

/// A time with its zone as an instant.
fn instant(text: &str) -> DateTime<FixedOffset> {
    DateTime::parse_from_str(text, "%Y%m%d%H%M%S%z").unwrap()
}

fn items(row: &Row, column: &str) -> usize {
    row.get(column).map_or(0, |text| serde_json::from_str::<Value>(text).unwrap().as_array().unwrap().len())
}

#[test]
fn the_real_messages_give_the_fields_another_converter_read() {
    let Some(folder) = data("hl7v2") else { return };
    let cases = expected(&folder);
    assert_eq!(cases.len(), 36);
    for case in &cases {
        let name = case.get("case");
        let bytes = fs::read(folder.join(format!("{name}.hl7"))).unwrap();
        let row = read_row(&bytes, &Mapping::default()).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        let (message_type, event) = name.split_once('-').unwrap();
        assert_eq!(row.get("message_type"), Some(message_type), "{name}");
        assert_eq!(row.get("event_type"), event.split('-').next(), "{name}");
        assert_eq!(row.get("charset_note"), None, "{name}");
        // Allergies are told by two kinds of segments.
        let allergies = items(&row, "allergies") + items(&row, "adverse_reactions");
        assert_eq!(allergies.to_string(), case.get("allergies"), "{name}");
        check(name, case, &row);
        check_lists(name, &String::from_utf8(bytes.clone()).unwrap(), &row);
        let answers = acknowledge(&header(&bytes), Outcome::Accepted, instant("20261128120000+0000"));
        // One of them wants no answer at all.
        assert_eq!(answers.messages().count(), usize::from(name != "ADT-A40-01"), "{name}");
    }
}

/// What the converter read from PID, PV1 and PV2.
fn check(name: &str, case: &Expected, row: &Row) {
    if case.get("patients") == "1" {
        let identifiers: HashSet<&str> = case.get("patient_identifiers").split('|').collect();
        assert!(identifiers.contains(row.get("patient_id").unwrap()), "{name}: patient_id");
        assert_eq!(row.get("family_name"), Some(case.get("family")), "{name}");
        assert_eq!(row.get("gender"), Some(case.get("gender")), "{name}");
        let born = NaiveDate::parse_from_str(&row.get("birth_date").unwrap()[..8], "%Y%m%d").unwrap();
        assert_eq!(born.to_string(), case.get("birthDate"), "{name}");
    }
    if case.get("encounters") == "1" {
        let class = match row.get("patient_class") {
            Some("I") => "IMP",
            Some("O") => "AMB",
            Some("P") => "PRENC",
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(class, case.get("enc_class"), "{name}");
        // The converter takes what is expected for what happened; here they are columns of their own.
        check_time(name, case.get("enc_start"), [row.get("admitted_at"), row.get("expected_admit_at")]);
        check_time(name, case.get("enc_end"), [row.get("discharged_at"), row.get("expected_discharge_at")]);
    }
}

fn check_time(name: &str, expected: &str, found: [Option<&str>; 2]) {
    if expected.is_empty() {
        assert_eq!(found[0], None, "{name}");
        return;
    }
    let expected = DateTime::parse_from_rfc3339(expected).unwrap();
    assert!(found.iter().flatten().any(|text| instant(text) == expected), "{name}: {found:?}, expected {expected}");
}

/// Every segment of a kind is an item of its list.
fn check_lists(name: &str, text: &str, row: &Row) {
    for (segment, column) in [
        ("OBX", "observations"),
        ("AL1", "allergies"),
        ("IAM", "adverse_reactions"),
        ("DG1", "diagnoses"),
        ("FT1", "charges"),
        ("NK1", "next_of_kin"),
        ("MRG", "merges"),
        ("AIS", "services"),
        ("AIG", "resources"),
        ("AIL", "locations"),
        ("AIP", "personnel"),
    ] {
        let segments = text.lines().filter(|line| line.starts_with(segment)).count();
        assert_eq!(items(row, column), segments, "{name}: {column}");
    }
}
