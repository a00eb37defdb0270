//! Damage is there, is listed, and leaves the truth as it was.

use crate::files::{files, run, small};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use wardlake_simulate::{ENTITIES, Entity, SimulationOptions};

#[test]
fn clean_options_damage_nothing() {
    let (root, summary) = run(&small(3, 0.0));
    assert_eq!(summary.dirty_rows, 0);
    let listed = fs::read_to_string(root.path().join("_truth/dirty_rows.csv")).expect("a file");
    assert_eq!(listed, "entity,key,kind,file,line\n");
}

#[test]
fn every_kind_of_damage_occurs_and_is_found_at_its_line() {
    let (root, summary) = run(&SimulationOptions { hospitals: 3, days: 4, dirt: 0.05, ..SimulationOptions::default() });
    let listed = fs::read_to_string(root.path().join("_truth/dirty_rows.csv")).expect("a file");
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for line in listed.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [_, key, kind, file, number] = fields[..] else { panic!("{line}") };
        *kinds.entry(kind.to_owned()).or_default() += 1;
        let bytes = fs::read(root.path().join(file)).expect("a file");
        let number: usize = number.parse().expect("a number");
        let row = bytes.split(|byte| *byte == b'\n').nth(number - 1).expect("the line");
        let text: String = row.iter().map(|byte| char::from(*byte)).collect();
        assert!(text.contains(key), "{line}\n{text}");
    }
    let expected = [
        "age_over_120",
        "born_in_future",
        "column_added",
        "columns_reordered",
        "damaged_encoding",
        "discharge_before_admission",
        "duplicate_patient",
        "future_timestamp",
        "gender_spelling",
        "late_row",
        "missing_admission_time",
        "not_a_number",
        "repeated_line",
        "truncated_line",
        "unknown_department",
    ];
    assert_eq!(kinds.keys().map(String::as_str).collect::<Vec<_>>(), expected);
    let drift = kinds["column_added"] + kinds["columns_reordered"];
    assert_eq!(kinds.values().sum::<u64>() - drift, summary.dirty_rows);
}

#[test]
fn the_share_of_damaged_rows_is_near_the_rate() {
    let (_root, summary) =
        run(&SimulationOptions { hospitals: 3, days: 4, dirt: 0.10, ..SimulationOptions::default() });
    let share = summary.dirty_rows as f64 / summary.rows as f64;
    assert!((0.02..0.11).contains(&share), "{share}");
}

#[test]
fn damage_does_not_change_the_truth() {
    let kpis = |dirt| {
        let (root, _) = run(&small(4, dirt));
        fs::read(root.path().join("_truth/kpis.json")).expect("a file")
    };
    assert!(kpis(0.0) == kpis(0.3));
}

#[test]
fn a_damaged_value_is_sent_again_every_day() {
    // A source that is wrong stays wrong: an unchanged patient must not look changed.
    let (root, _) = run(&SimulationOptions { patients_per_hospital: 400, ..small(5, 0.2) });
    let days: Vec<BTreeSet<Vec<u8>>> = files(root.path(), Entity::Patients)
        .iter()
        .map(|file| fs::read(file).expect("a file").split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect())
        .collect();
    for pair in days.windows(2) {
        let same = pair[0].intersection(&pair[1]).count() as f64 / pair[0].len() as f64;
        assert!(same > 0.9, "{same}");
    }
}

#[test]
fn late_rows_come_a_day_later_and_only_once() {
    let (root, _) = run(&small(6, 0.3));
    let listed = fs::read_to_string(root.path().join("_truth/dirty_rows.csv")).expect("a file");
    let late: Vec<Vec<&str>> =
        listed.lines().filter(|line| line.contains(",late_row,adt/")).map(|line| line.split(',').collect()).collect();
    assert!(!late.is_empty());
    for fields in late {
        let found: Vec<String> = files(root.path(), Entity::Adt)
            .into_iter()
            .filter(|file| fs::read_to_string(file).expect("a file").contains(&format!("\"{}\"", fields[1])))
            .map(|file| file.file_name().expect("a name").to_string_lossy().into_owned())
            .collect();
        assert_eq!(found, [fields[3].trim_start_matches("adt/")]);
    }
}

#[test]
fn all_entities_have_rows() {
    let (_root, summary) = run(&small(7, 0.02));
    for entity in ENTITIES {
        assert!(summary.rows_by_entity.get(entity.name()).is_some_and(|rows| *rows > 0), "{}", entity.name());
    }
}
