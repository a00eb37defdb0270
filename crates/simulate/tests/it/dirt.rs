//! Damage is there, is listed, and leaves the truth as it was.

use crate::files::{files, run, small};
use std::collections::BTreeSet;
use std::fs;
use wardlake_simulate::{ENTITIES, Entity, SimulationOptions, truth};

#[test]
fn clean_options_damage_nothing() {
    let (root, summary) = run(&small(3, 0.0));
    assert_eq!(summary.dirty_rows, 0);
    assert_eq!(truth::read(root.path()).expect("the truth").dirty_rows, []);
}

#[test]
fn the_share_of_damaged_rows_is_near_the_rate() {
    let (_root, summary) =
        run(&SimulationOptions { hospitals: 3, days: 4, dirt: 0.10, ..SimulationOptions::default() });
    let share = summary.dirty_rows as f64 / summary.rows as f64;
    assert!((0.02..0.11).contains(&share), "{share}");
}

#[test]
fn damage_does_not_change_the_figures_of_the_clean_rows() {
    let kpis = |dirt| truth::read(run(&small(4, dirt)).0.path()).expect("the truth").kpis;
    let (clean, dirty) = (kpis(0.0), kpis(0.3));
    assert_eq!((clean.totals, clean.totals), (dirty.totals, clean.expected));
    for (one, other) in clean.hospital_days.iter().zip(&dirty.hospital_days) {
        assert_eq!((one.figures, one.expected), (other.figures, one.figures));
    }
    for (one, other) in clean.department_days.iter().zip(&dirty.department_days) {
        assert_eq!((one.figures, one.expected), (other.figures, one.figures));
    }
    assert_ne!(dirty.totals, dirty.expected);
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
