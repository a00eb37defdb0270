//! The expected figures are those of the rows that are left: counted anew from the files, without the lines that the truth
//! lists under a withheld kind.

use crate::files::{run, small};
use crate::rows::{FileRow, days};
use chrono::NaiveDateTime;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use wardlake_simulate::{DepartmentFigures, Entity, HospitalFigures, SimulationOptions, Truth, truth};

/// A bed stay whose department nobody knows took place where its bed stands.
fn in_the_beds_department(root: &Path, stays: &mut BTreeMap<String, FileRow>) {
    let known: BTreeSet<String> =
        rows(root, Entity::Departments).map(|row| row.get("department_id").to_owned()).collect();
    let beds: BTreeMap<String, String> = rows(root, Entity::Beds)
        .map(|row| (row.get("bed_id").to_owned(), row.get("department_id").to_owned()))
        .collect();
    for stay in stays.values_mut().filter(|stay| !known.contains(stay.get("department_id"))) {
        if let Some(department) = beds.get(stay.get("bed_id")) {
            stay.cells.insert("department_id".to_owned(), department.clone());
        }
    }
}

fn rows(root: &Path, entity: Entity) -> impl Iterator<Item = FileRow> {
    days(root, entity).into_iter().flat_map(|(_, _, rows)| rows)
}

/// The newest row of each key that is left.
fn left(root: &Path, truth: &Truth, entity: Entity) -> BTreeMap<String, FileRow> {
    let withheld: BTreeSet<(&str, u64)> =
        truth.dirty_rows.iter().filter(|row| row.kind.is_withheld()).map(|row| (row.file.as_str(), row.line)).collect();
    let rows = rows(root, entity).filter(|row| !withheld.contains(&(row.file.as_str(), row.line)));
    rows.map(|row| (row.get(entity.columns()[0]).to_owned(), row)).collect()
}

fn seconds(at: &str) -> i64 {
    NaiveDateTime::parse_from_str(at, "%Y-%m-%d %H:%M:%S").expect("a time").and_utc().timestamp()
}

fn day_of(at: &str) -> String {
    at[..10].to_owned()
}

#[derive(Default)]
struct Counted {
    hospitals: BTreeMap<(String, String), HospitalFigures>,
    departments: BTreeMap<(String, String), DepartmentFigures>,
}

impl Counted {
    fn hospital(&mut self, at: &str, row: &FileRow) -> &mut HospitalFigures {
        self.hospitals.entry((day_of(at), row.get("hospital_id").to_owned())).or_default()
    }

    fn department(&mut self, at: &str, department: &str) -> &mut DepartmentFigures {
        self.departments.entry((day_of(at), department.to_owned())).or_default()
    }

    fn visit(&mut self, row: &FileRow) {
        if !row.get("triaged_at").is_empty() || row.get("encounter_class") == "emergency" {
            self.hospital(row.get("arrived_at"), row).ed_arrivals += 1;
        }
        let (decided, departed) = (row.get("admit_decision_at"), row.get("departed_ed_at"));
        if !departed.is_empty() {
            let has_boarded = !decided.is_empty() && seconds(departed) - seconds(decided) > 4 * 3_600;
            let figures = self.hospital(departed, row);
            figures.left_without_being_seen += u32::from(row.get("discharge_disposition") == "lwbs");
            figures.boarded_over_4_hours += u32::from(has_boarded);
        }
        let (admitted, discharged) = (row.get("admitted_at"), row.get("discharged_at"));
        if admitted.is_empty() {
            return;
        }
        self.hospital(admitted, row).admissions += 1;
        if !discharged.is_empty() {
            let midnight = |at: &str| seconds(&format!("{} 00:00:00", day_of(at)));
            let days = (midnight(discharged) - midnight(admitted)) / 86_400;
            let is_inpatient = row.get("encounter_class") == "inpatient";
            let figures = self.hospital(discharged, row);
            figures.discharges += 1;
            figures.inpatient_discharges += u32::from(is_inpatient);
            figures.inpatient_los_days += if is_inpatient { days.max(1) as u32 } else { 0 };
        }
    }

    fn stay(&mut self, row: &FileRow, visit: Option<&FileRow>, dates: &BTreeSet<String>) {
        let department = row.get("department_id");
        let (started, ended) = (row.get("started_at"), row.get("ended_at"));
        let figures = self.department(started, department);
        *(if row.get("movement_type") == "admit" { &mut figures.admissions } else { &mut figures.transfers_in }) += 1;
        for date in dates {
            let is_in = *date >= day_of(started) && (ended.is_empty() || *date < day_of(ended));
            if !is_in {
                continue;
            }
            self.hospital(date, row).midnight_census += 1;
            let figures = self.department(date, department);
            figures.midnight_census += 1;
            match visit {
                Some(visit) if visit.get("encounter_class") == "observation" => figures.census_observation += 1,
                Some(visit) if visit.get("admission_type") == "newborn" => figures.census_newborn += 1,
                Some(_) => figures.census_inpatient += 1,
                None => {}
            }
        }
    }
}

fn count(root: &Path, truth: &Truth) -> Counted {
    let dates: BTreeSet<String> = truth.kpis.hospital_days.iter().map(|day| day.date.clone()).collect();
    let (visits, mut stays) = (left(root, truth, Entity::Encounters), left(root, truth, Entity::Transfers));
    in_the_beds_department(root, &mut stays);
    let mut counted = Counted::default();
    let mut last: BTreeMap<&str, &FileRow> = BTreeMap::new();
    for stay in stays.values() {
        let encounter = stay.get("encounter_id");
        counted.stay(stay, visits.get(encounter), &dates);
        let place = |row: &FileRow| (row.get("started_at").to_owned(), row.get("movement_id").to_owned());
        let newest = last.entry(encounter).or_insert(stay);
        if place(stay) > place(newest) {
            *newest = stay;
        }
    }
    for (encounter, visit) in &visits {
        counted.visit(visit);
        if let Some(stay) = last.get(encounter.as_str())
            && !visit.get("discharged_at").is_empty()
        {
            counted.department(visit.get("discharged_at"), stay.get("department_id")).discharges += 1;
        }
    }
    counted
}

fn check(options: &SimulationOptions) {
    let (root, _) = run(options);
    let truth = truth::read(root.path()).expect("the truth");
    let counted = count(root.path(), &truth);
    for day in &truth.kpis.hospital_days {
        let key = (day.date.clone(), day.hospital_id.clone());
        assert_eq!(day.expected, counted.hospitals.get(&key).copied().unwrap_or_default(), "{key:?}");
        if options.dirt == 0.0 {
            assert_eq!(day.expected, day.figures);
        }
    }
    for day in &truth.kpis.department_days {
        let key = (day.date.clone(), day.department_id.clone());
        assert_eq!(day.expected, counted.departments.get(&key).copied().unwrap_or_default(), "{key:?}");
    }
}

#[test]
fn a_month_comes_to_the_expected_figures() {
    // Behind the clock change: the files show local times, from which durations are counted here.
    let start_date = chrono::NaiveDate::from_ymd_opt(2026, 3, 20).expect("a date");
    check(&SimulationOptions { days: 30, start_date, ..small(21, 0.05) });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_seed_comes_to_the_expected_figures(seed in any::<u64>(), dirt in prop_oneof![Just(0.0), 0.0..0.5_f64]) {
        check(&small(seed, dirt));
    }
}
