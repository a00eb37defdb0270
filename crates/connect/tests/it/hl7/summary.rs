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
        check(name, case, &row);
        let answers = acknowledge(&header(&bytes), Outcome::Accepted, instant("20261128120000+0000"));
        // One of them wants no answer at all.
        assert_eq!(answers.messages().count(), usize::from(name != "ADT-A40-01"), "{name}");
    }
}

/// What the converter read from PID and PV1, and how many resources it made of the segments that become lists here.
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
        for (column, field) in [("admitted_at", "enc_start"), ("discharged_at", "enc_end")] {
            // The converter leaves the end out of an encounter that its event says is open again.
            match (row.get(column), case.get(field)) {
                (_, "") => {}
                (Some(text), expected) => {
                    assert_eq!(instant(text), DateTime::parse_from_rfc3339(expected).unwrap(), "{name}: {column}");
                }
                (None, expected) => panic!("{name}: {column} is missing, expected {expected}"),
            }
        }
    }
    if case.get("allergies") != "0" {
        assert_eq!(items(row, "allergies").to_string(), case.get("allergies"), "{name}");
    }
    println!(
        "{name}: obx {} of {}, dg1 {} of {}",
        items(row, "observations"),
        case.get("observations"),
        items(row, "diagnoses"),
        case.get("conditions")
    );
}
