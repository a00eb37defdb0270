//! Every damaged row is where the truth says, and differs from its clean form where the truth says so.

use crate::files::{run, small};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use wardlake_simulate::score::{Finding, score};
use wardlake_simulate::truth::{DirtyRow, Truth, read};
use wardlake_simulate::{DIRT_KINDS, DirtKind, Entity, SimulationOptions};

fn text_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// Lines of the files of a simulation, by path and position.
#[derive(Default)]
struct Lines(HashMap<String, Vec<String>>);

impl Lines {
    fn get(&mut self, root: &Path, file: &str, line: u64) -> &str {
        let lines = self.0.entry(file.to_owned()).or_insert_with(|| {
            let bytes = fs::read(root.join(file)).expect("a file");
            bytes.split(|byte| *byte == b'\n').map(|line| text_of(line).trim_end_matches('\r').to_owned()).collect()
        });
        &lines[usize::try_from(line - 1).expect("a number")]
    }
}

/// The cells of a line, by the columns of the entity.
fn cells(entity: Entity, line: &str) -> BTreeMap<String, String> {
    if entity.extension() == "ndjson" {
        let object: serde_json::Value = serde_json::from_str(&latin_to_utf8(line)).expect("JSON");
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        return object
            .as_object()
            .expect("an object")
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect();
    }
    let delimiter = match entity {
        Entity::Patients | Entity::Encounters | Entity::Transfers => '|',
        Entity::Appointments => ';',
        Entity::Billing => '^',
        Entity::Insurance => '~',
        Entity::Dispensed => '\t',
        _ => ',',
    };
    let names = entity.columns().iter().map(ToString::to_string);
    names.zip(line.split(delimiter).map(str::to_owned)).collect()
}

fn latin_to_utf8(text: &str) -> String {
    String::from_utf8(text.chars().map(|letter| letter as u8).collect()).expect("text")
}

/// Rows of `_truth/clean/`, by file and line.
fn clean_rows(root: &Path) -> HashMap<(String, String), Vec<String>> {
    let mut rows = HashMap::new();
    for entry in fs::read_dir(root.join("_truth/clean")).expect("a folder") {
        let text = fs::read_to_string(entry.expect("an entry").path()).expect("a file");
        for line in text.lines().skip(1) {
            // Only denial reasons and diagnoses hold commas; they are quoted.
            let mut fields: Vec<String> = Vec::new();
            let mut is_quoted = false;
            for part in line.split(',') {
                match fields.last_mut().filter(|_| is_quoted) {
                    Some(field) => field.push_str(&format!(",{part}")),
                    None => fields.push(part.to_owned()),
                }
                is_quoted ^= part.matches('"').count() % 2 == 1;
            }
            let line = fields.pop().expect("a line");
            let file = fields.pop().expect("a file");
            let fields = fields.iter().map(|field| field.trim_matches('"').to_owned()).collect();
            rows.insert((file, line), fields);
        }
    }
    rows
}

fn month(seed: u64) -> SimulationOptions {
    SimulationOptions { days: 30, ..small(seed, 0.05) }
}

fn check_rows(root: &Path, truth: &Truth) {
    let mut lines = Lines::default();
    let clean = clean_rows(root);
    for row in truth.dirty_rows.iter().filter(|row| !row.kind.is_of_file()) {
        let entity = Entity::from_name(&row.entity).expect("an entity");
        let line = lines.get(root, &row.file, row.line).to_owned();
        assert!(line.contains(row.key.as_str()), "{row:?}\n{line}");
        let twin = clean.get(&(row.file.clone(), row.line.to_string()));
        match row.kind {
            DirtKind::TruncatedLine => {
                assert_ne!(twin.map(Vec::len), None);
                continue;
            }
            DirtKind::RepeatedLine | DirtKind::DuplicatePatient => {
                let pair = lines.get(root, &row.file, row.pair_line.expect("a pair"));
                assert_eq!(pair == line, row.kind == DirtKind::RepeatedLine, "{row:?}");
                assert_eq!(twin, None);
                continue;
            }
            DirtKind::LateRow => continue,
            _ => {}
        }
        let cells = cells(entity, &line);
        let twin = twin.unwrap_or_else(|| panic!("{row:?}"));
        let columns: Vec<&str> = row.column.split(';').collect();
        let join =
            |value: &dyn Fn(&str) -> String| columns.iter().map(|name| value(name)).collect::<Vec<_>>().join(";");
        let position = |name: &str| entity.columns().iter().position(|column| *column == name).expect("a column");
        assert_eq!(join(&|name| twin[position(name)].clone()), row.original, "{row:?}");
        let damaged = join(&|name| cells[name].clone());
        let decoded = if entity == Entity::Patients { damaged } else { latin_to_utf8(&damaged) };
        assert_eq!(decoded, row.damaged, "{row:?}");
        assert_ne!(row.original, row.damaged);
        // Nothing else differs.
        for (at, name) in entity.columns().iter().enumerate().filter(|(_, name)| !columns.contains(name)) {
            let cell = if entity == Entity::Patients { cells[*name].clone() } else { latin_to_utf8(&cells[*name]) };
            // A parsed JSON number has lost its trailing zeros.
            let is_number = |text: &str| text.parse::<f64>().ok();
            let is_equal = cell == twin[at] || is_number(&cell).is_some_and(|cell| Some(cell) == is_number(&twin[at]));
            assert!(is_equal, "{name} of {row:?}: {cell} for {}", twin[at]);
        }
    }
}

#[test]
fn every_kind_occurs_and_is_found_at_its_line() {
    let (root, summary) = run(&month(3));
    let truth = read(root.path()).expect("the truth");
    check_rows(root.path(), &truth);
    let kinds: BTreeSet<DirtKind> = truth.dirty_rows.iter().map(|row| row.kind).collect();
    let missing: Vec<&DirtKind> = DIRT_KINDS.iter().filter(|kind| !kinds.contains(kind)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let rows = truth.dirty_rows.iter().filter(|row| !row.kind.is_of_file()).count() as u64;
    assert_eq!(rows, summary.dirty_rows);
}

#[test]
fn autumn_has_ambiguous_times_only_where_the_truth_says() {
    let start_date = chrono::NaiveDate::from_ymd_opt(2026, 10, 29).expect("a date");
    let options = SimulationOptions { start_date, ..small(6, 0.2) };
    let (root, _) = run(&options);
    let truth = read(root.path()).expect("the truth");
    let listed: BTreeSet<(&str, u64)> = truth
        .dirty_rows
        .iter()
        .filter(|row| row.kind == DirtKind::AmbiguousLocalTime)
        .map(|row| (row.file.as_str(), row.line))
        .collect();
    let mut seen = BTreeSet::new();
    let files: Vec<String> = ["encounters", "transfers", "adt", "dispensed", "patients", "appointments", "attendance"]
        .iter()
        .flat_map(|name| {
            let folder = fs::read_dir(root.path().join(name)).expect("a folder");
            folder.map(move |entry| format!("{name}/{}", entry.expect("an entry").file_name().to_string_lossy()))
        })
        .collect();
    for file in &files {
        let bytes = fs::read(root.path().join(file)).expect("a file");
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if text_of(line).contains("2026-11-01 01:") {
                seen.insert((file.as_str(), number as u64 + 1));
            }
        }
    }
    assert!(!seen.is_empty());
    assert_eq!(seen, listed);
}

#[test]
fn a_kind_has_the_rate_it_is_given() {
    let rates = ["unknown_department=0.1", "truncated_line=0.05"].map(|text| text.parse().expect("a rate"));
    let options = SimulationOptions { hospitals: 3, days: 5, ..SimulationOptions::default() }.with_dirt(&rates);
    let (root, summary) = run(&options);
    let truth = read(root.path()).expect("the truth");
    let share = |kind: DirtKind, entity: &str| {
        let rows = truth.dirty_rows.iter().filter(|row| row.kind == kind && row.entity == entity).count();
        rows as f64 / summary.rows_by_entity[entity] as f64
    };
    for (kind, entity, rate) in [
        (DirtKind::UnknownDepartment, "encounters", 0.1),
        (DirtKind::UnknownDepartment, "dispensed", 0.1),
        // Rows that the other kind has damaged are left alone.
        (DirtKind::TruncatedLine, "encounters", 0.05 * 0.9),
        (DirtKind::TruncatedLine, "patients", 0.05),
    ] {
        let share = share(kind, entity);
        assert!((share - rate).abs() < rate * 0.25, "{kind} in {entity}: {share} instead of {rate}");
    }
    assert_eq!(truth.dirty_rows.iter().map(|row| row.kind).collect::<BTreeSet<_>>().len(), 2);
}

#[test]
fn only_the_listed_kinds_occur() {
    let kinds = vec![DirtKind::LateRow, DirtKind::ColumnRenamed];
    let (root, _) = run(&SimulationOptions { kinds: kinds.clone(), ..small(5, 0.2) });
    let truth = read(root.path()).expect("the truth");
    let found: BTreeSet<DirtKind> = truth.dirty_rows.iter().map(|row| row.kind).collect();
    assert_eq!(found, kinds.into_iter().collect());
}

#[test]
fn findings_that_are_the_truth_score_fully() {
    let (root, _) = run(&small(8, 0.1));
    let truth = read(&root.path().join("_truth")).expect("the truth");
    let finding = |row: &DirtyRow| Finding {
        kind: row.kind.name().to_owned(),
        entity: row.entity.clone(),
        file: row.file.clone(),
        line: row.line,
    };
    let findings: Vec<Finding> = truth.dirty_rows.iter().filter(|row| row.is_decidable).map(finding).collect();
    for score in score(&truth, &findings) {
        assert_eq!((score.missed, score.wrongly_accused, score.other_kind), (0, 0, 0), "{score:?}");
    }
}

#[test]
fn versions_begin_when_the_source_changed_a_row() {
    let (root, _) = run(&SimulationOptions { days: 12, ..small(2, 0.1) });
    for (file, key) in [("patient_versions.csv", "patient_id"), ("department_versions.csv", "department_id")] {
        let text = fs::read_to_string(root.path().join("_truth").join(file)).expect("a file");
        assert!(text.starts_with(&format!("{key},version_number,valid_from,hospital_id,")));
        let mut last: BTreeMap<String, (u32, String)> = BTreeMap::new();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let version: u32 = fields[1].parse().expect("a number");
            let before = last.insert(fields[0].to_owned(), (version, fields[2].to_owned()));
            assert_eq!(before.as_ref().map_or(0, |(version, _)| *version) + 1, version);
            assert!(before.is_none_or(|(_, from)| from.as_str() < fields[2]), "{line}");
        }
        assert!(last.values().any(|(version, _)| *version > 1), "{file} has no second version");
    }
}

#[test]
fn all_clean_rows_are_what_a_clean_simulation_writes() {
    let options = SimulationOptions { has_all_clean_rows: true, ..small(7, 0.1) };
    let (dirty, _) = run(&options);
    let (clean, _) = run(&SimulationOptions { dirt: 0.0, ..options });
    let rows = |root: &Path, name: &str| -> BTreeSet<String> {
        let text = fs::read_to_string(root.join("_truth/clean").join(format!("{name}.csv"))).expect("a file");
        // Without file and line: damaged files hold more lines, and some a day later.
        text.lines().skip(1).map(|line| line.rsplitn(3, ',').last().unwrap_or_default().to_owned()).collect()
    };
    for name in ["patients", "encounters", "transfers", "adt", "billing", "departments"] {
        assert_eq!(rows(dirty.path(), name), rows(clean.path(), name), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_truth_holds_for_any_seed(seed in any::<u64>(), dirt in 0.0..0.5_f64) {
        let (root, _) = run(&small(seed, dirt));
        let truth = read(root.path()).expect("the truth");
        check_rows(root.path(), &truth);
        for day in &truth.kpis.department_days {
            let clean = &day.figures;
            prop_assert_eq!(
                clean.midnight_census,
                clean.census_inpatient + clean.census_observation + clean.census_newborn
            );
        }
    }
}
