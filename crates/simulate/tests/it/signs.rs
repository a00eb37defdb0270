//! Every kind of damage shows by its sign, and nothing else does: rules that read only the files find exactly the truth.

use crate::files::{run, small};
use crate::rows::{FileRow, days};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use wardlake_simulate::score::{Finding, score};
use wardlake_simulate::{DIRT_KINDS, DirtKind, DirtRate, ENTITIES, Entity, SimulationOptions, truth};

fn name(kind: DirtKind, entity: Entity, row: &FileRow) -> Finding {
    Finding { kind: kind.name().to_owned(), entity: entity.name().to_owned(), file: row.file.clone(), line: row.line }
}

fn numbers(entity: Entity) -> &'static [&'static str] {
    match entity {
        Entity::Encounters => &["triage_level"],
        Entity::Appointments => &["duration_minutes"],
        Entity::Billing => &["amount", "discount", "tax", "final_amount", "amount_paid"],
        Entity::Insurance => &["premium"],
        Entity::Claims => &["billed_amount", "allowed_amount", "paid_amount"],
        Entity::Dispensed => &["quantity", "returned_quantity"],
        _ => &[],
    }
}

/// The rules that look at one row.
fn row_rules(entity: Entity, row: &FileRow, departments: &BTreeSet<String>, is_first: bool) -> Vec<DirtKind> {
    use DirtKind as K;
    if row.cells.is_empty() {
        return vec![K::TruncatedLine];
    }
    let mut kinds = Vec::new();
    let mut rule = |kind, is_broken: bool| {
        if is_broken {
            kinds.push(kind);
        }
    };
    let get = |column| row.get(column);
    if entity == Entity::Encounters {
        rule(K::MissingAdmissionTime, !get("expected_discharge_date").is_empty() && get("admitted_at").is_empty());
        let both = !get("admitted_at").is_empty() && !get("discharged_at").is_empty();
        rule(K::DischargeBeforeAdmission, both && get("discharged_at") < get("admitted_at"));
    }
    if entity == Entity::Patients {
        let year = |text: &str| text[..4].parse::<i32>().expect("a year");
        let born = get("date_of_birth");
        rule(K::AgeOver120, year(&row.date) - year(born) > 121);
        rule(K::NegativeAge, born > &get("registered_at")[..10]);
        let known = ["f", "m", "female", "male"];
        rule(K::GenderSpelling, !known.contains(&get("gender").to_lowercase().as_str()));
        rule(K::DamagedEncoding, get("last_name").contains('Ã') || get("first_name").contains('Ã'));
    }
    let has_past =
        matches!(entity, Entity::Patients | Entity::Encounters | Entity::Transfers | Entity::Dispensed | Entity::Adt);
    rule(K::FutureTimestamp, has_past && row.times().any(|(_, at)| at[..10] > *row.date));
    rule(K::Timestamp1900, row.times().any(|(_, at)| at.starts_with("1900")));
    let odd_hours = ["2026-03-08 02:", "2026-11-01 01:", "2025-11-02 01:"];
    rule(K::AmbiguousLocalTime, row.times().any(|(_, at)| odd_hours.iter().any(|hour| at.starts_with(hour))));
    let department = get("department_id");
    rule(K::UnknownDepartment, !department.is_empty() && !departments.contains(department));
    let is_number = |column: &&str| row.get(column).is_empty() || row.get(column).parse::<f64>().is_ok();
    rule(K::NotANumber, !numbers(entity).iter().all(is_number));
    let changed_at = match entity {
        Entity::Encounters | Entity::Transfers | Entity::Appointments | Entity::Billing | Entity::Claims => {
            get("updated_at")
        }
        Entity::Adt => get("recorded_at"),
        Entity::Dispensed => get("dispensed_at"),
        _ => "",
    };
    let is_late = !changed_at.is_empty() && !changed_at.starts_with("1900") && changed_at[..10] < *row.date;
    rule(K::LateRow, !is_first && is_late);
    kinds
}

/// The rules that compare the rows of one file.
fn file_rules(entity: Entity, rows: &[FileRow]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut by = |kind: DirtKind, key: &dyn Fn(&FileRow) -> Option<String>, is_broken: &dyn Fn(&[&FileRow]) -> bool| {
        let mut groups: BTreeMap<String, Vec<&FileRow>> = BTreeMap::new();
        for row in rows {
            if let Some(key) = key(row) {
                groups.entry(key).or_default().push(row);
            }
        }
        for group in groups.values().filter(|group| group.len() > 1 && is_broken(group)) {
            found.extend(group.iter().map(|row| name(kind, entity, row)));
        }
    };
    by(DirtKind::RepeatedLine, &|row| Some(row.text.clone()), &|_| true);
    if entity.columns().contains(&"updated_at") {
        let key = |row: &FileRow| {
            let at = row.cells.get("updated_at")?;
            Some(format!("{} {at}", row.get(entity.columns()[0])))
        };
        by(DirtKind::ConflictingDuplicate, &key, &|group| group.iter().any(|row| row.text != group[0].text));
    }
    if entity == Entity::Patients {
        let person = |row: &FileRow| {
            let names = format!("{} {}", row.get("last_name"), row.get("first_name")).to_uppercase();
            (!row.cells.is_empty()).then(|| format!("{} {names} {}", row.get("national_id"), row.get("date_of_birth")))
        };
        by(DirtKind::DuplicatePatient, &person, &|group| {
            group.iter().any(|row| row.get("patient_id") != group[0].get("patient_id"))
        });
    }
    found
}

fn drift(entity: Entity, file: &str, before: &[String], header: &[String]) -> Option<Finding> {
    let (was, is): (BTreeSet<_>, BTreeSet<_>) = (before.iter().collect(), header.iter().collect());
    let kind = match (was.difference(&is).count(), is.difference(&was).count()) {
        (0, 0) if before != header => DirtKind::ColumnReordered,
        (0, 1..) => DirtKind::ColumnAdded,
        (1.., 1..) => DirtKind::ColumnRenamed,
        _ => return None,
    };
    let (entity, file) = (entity.name().to_owned(), file.to_owned());
    Some(Finding { kind: kind.name().to_owned(), entity, file, line: 1 })
}

fn findings(root: &Path) -> Vec<Finding> {
    let departments: BTreeSet<String> = days(root, Entity::Departments)
        .iter()
        .flat_map(|(_, _, rows)| rows.iter().map(|row| row.get("department_id").to_owned()))
        .collect();
    let mut found = Vec::new();
    for entity in ENTITIES {
        let days = days(root, entity);
        for pair in days.windows(2) {
            found.extend(drift(entity, &pair[1].0, &pair[0].1, &pair[1].1));
        }
        for (position, (_, _, rows)) in days.iter().enumerate() {
            for row in rows {
                let kinds = row_rules(entity, row, &departments, position == 0);
                found.extend(kinds.into_iter().map(|kind| name(kind, entity, row)));
            }
            found.extend(file_rules(entity, rows));
        }
    }
    found
}

fn check(options: &SimulationOptions) {
    let (root, _) = run(options);
    let truth = truth::read(root.path()).expect("the truth");
    for score in score(&truth, &findings(root.path())) {
        let wrong = (score.missed, score.other_kind, score.wrongly_accused);
        assert_eq!(wrong, (0, 0, 0), "{score:?}");
        let is_silent = score.kind == "out_of_order_file";
        assert_eq!(score.recall(), if is_silent || score.injected == 0 { None } else { Some(1.0) });
    }
}

#[test]
fn a_month_with_every_kind_is_told_by_the_signs() {
    check(&SimulationOptions { days: 30, ..small(11, 0.05) });
}

#[test]
fn five_percent_of_each_kind_are_told_by_the_signs() {
    let rates = DIRT_KINDS.map(|kind| DirtRate { kind: Some(kind), rate: 0.05 });
    check(&SimulationOptions { days: 12, ..small(13, 0.0) }.with_dirt(&rates));
}

#[test]
fn an_autumn_is_told_by_the_signs() {
    let start_date = chrono::NaiveDate::from_ymd_opt(2026, 10, 28).expect("a date");
    check(&SimulationOptions { start_date, days: 8, ..small(12, 0.2) });
}

#[test]
fn a_network_of_full_size_is_told_by_the_signs() {
    check(&SimulationOptions { hospitals: 3, days: 3, dirt: 0.1, ..SimulationOptions::default() });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_seed_is_told_by_the_signs(seed in any::<u64>(), dirt in 0.0..0.4_f64) {
        check(&SimulationOptions { days: 6, ..small(seed, dirt) });
    }
}
