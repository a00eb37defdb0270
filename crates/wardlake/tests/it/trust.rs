//! What the hospital project does with rows that are wrong, on networks whose damage is known: no clean row is accused, every
//! row is accounted for, and the figures are those of the rows that were not withheld.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::{Path, PathBuf},
};

use crate::world::{Row, World, assert_same_rows, copy_folder, csv_rows, repository};

/// Kinds of damage that withhold a row or are repaired; a department that no extract knows is neither.
const WITHHELD_OR_REPAIRED: &str = "missing_admission_time,duplicate_patient,future_timestamp,timestamp_1900,\
    discharge_before_admission,ambiguous_local_time,repeated_line,conflicting_duplicate,age_over_120,negative_age,\
    truncated_line,not_a_number,gender_spelling,damaged_encoding,late_row,out_of_order_file";

/// The hospital project over the extracts of one simulation.
struct Hospital {
    world: World,
    landing: PathBuf,
}

impl Hospital {
    /// Extracts of a simulation, not yet loaded.
    fn simulated(options: &[&str]) -> Self {
        let hospital = Self::empty();
        let landing = hospital.landing.to_string_lossy().into_owned();
        hospital.world.ok(&[&["simulate", "--out", &landing], options].concat());
        hospital
    }

    fn empty() -> Self {
        let world = World::empty();
        copy_folder(&repository().join("hospital"), world.path());
        let landing = world.path().join("landing");
        let world = world.env("WARDLAKE_LANDING", &landing.to_string_lossy());
        Self { world, landing }
    }

    fn build(&self) {
        self.world.ok(&["ingest"]);
        self.world.ok(&["build"]);
    }

    fn assert_balanced(&self) {
        let unbalanced = self.world.sql("select model from system.accounting where not is_balanced");
        assert!(unbalanced.is_empty(), "{unbalanced:?}");
        let audited = self.world.value("select count(distinct model) as n from system.accounting");
        assert_eq!(audited, "29", "staging, HL7 events, encounters, and the facts of one row per source row");
    }

    /// File and line of every row that is withheld, quarantined or rejected.
    fn withheld(&self) -> BTreeSet<(String, usize)> {
        let tables = self.world.sql(
            "select table_schema as s, table_name as t from information_schema.tables \
             where table_schema = 'quarantine' or (table_schema = 'system' and table_name = 'rejected_rows')",
        );
        let places = |table: &Row| match table["s"].as_str() {
            "system" => "select _file as f, _position as p from system.rejected_rows".to_owned(),
            _ => format!(
                "select source_file as f, source_position as p from quarantine.{} where state = 'open'",
                table["t"]
            ),
        };
        let rows = tables.iter().flat_map(|table| self.world.sql(&places(table)));
        rows.map(|row| (row["f"].clone(), row["p"].parse().unwrap())).collect()
    }
}

#[test]
fn clean_rows_are_let_through() {
    let periods: [&[&str]; 3] = [
        &["--hospitals", "1"],
        &["--hospitals", "1", "--days", "30"],
        // The clock goes back on 2026-11-01.
        &["--hospitals", "1", "--start-date", "2026-10-28"],
    ];
    for period in periods {
        let hospital = Hospital::simulated(&[period, &["--dirt", "0"]].concat());
        hospital.build();
        hospital.assert_balanced();
        assert_eq!(hospital.withheld(), BTreeSet::new(), "{period:?}");
        // Patients are registered twice by mistake: no damage, and rightly found.
        let broken = hospital.world.sql(
            "select model, rule, rows_broken from system.rule_results where rows_broken > 0 and kind <> 'duplicate_patient'",
        );
        assert!(broken.is_empty(), "{period:?}: {broken:?}");
        let left_out = hospital.world.value("select sum(rows_duplicate) as n from system.accounting");
        assert_eq!(left_out, "0", "{period:?}");
    }
}

#[test]
fn what_is_withheld_is_damaged_and_every_row_is_accounted_for() {
    let hospital = Hospital::simulated(&["--hospitals", "2", "--dirt", "0.05"]);
    hospital.build();
    hospital.assert_balanced();
    let truth = csv_rows(&hospital.landing.join("_truth/dirty_rows.csv"));
    let damaged: HashSet<(&str, usize)> =
        truth.iter().map(|row| (row["file"].as_str(), row["line"].parse().unwrap())).collect();
    let withheld = hospital.withheld();
    let accused: Vec<_> = withheld.iter().filter(|(file, line)| !damaged.contains(&(file.as_str(), *line))).collect();
    assert!(accused.is_empty(), "clean rows are withheld: {accused:?}");

    let kinds = hospital.world.sql("select kind, sum(rows_broken) as n from system.rule_results group by kind");
    let found: BTreeMap<&str, u64> =
        kinds.iter().map(|row| (row["kind"].as_str(), row["n"].parse().unwrap())).collect();
    for kind in [
        "missing_admission_time",
        "future_timestamp",
        "timestamp_1900",
        "discharge_before_admission",
        "age_over_120",
        "negative_age",
        "not_a_number",
        "ambiguous_local_time",
        "unknown_department",
        "gender_spelling",
        "damaged_encoding",
        "duplicate_patient",
        "late_row",
    ] {
        assert!(found.get(kind).is_some_and(|rows| *rows > 0), "{kind}: {found:?}");
    }
    let conflicts = "select count(*) as n from audit.stg_hospital__encounters where kind = 'conflicting_duplicate'";
    assert_ne!(hospital.world.value(conflicts), "0");
    assert_ne!(hospital.world.value("select count(*) as n from system.rejected_rows"), "0", "lines cut short");

    // A spelling is repaired and says so; nobody is left with an undeclared one.
    let spelt = hospital.world.sql("select distinct gender from silver.stg_hospital__patients order by 1");
    let spelt: Vec<&str> = spelt.iter().map(|row| row["gender"].as_str()).collect();
    assert_eq!(spelt, ["female", "male"]);
}

#[test]
fn figures_are_those_of_the_rows_that_are_not_withheld() {
    let network = ["--hospitals", "2", "--seed", "7"];
    let dirty = Hospital::simulated(&[&network[..], &["--dirt", "0.05", "--kinds", WITHHELD_OR_REPAIRED]].concat());
    dirty.build();
    let withheld = dirty.withheld();
    assert!(withheld.len() > 500, "{}", withheld.len());

    let clean = Hospital::simulated(&[&network[..], &["--dirt", "0"]].concat());
    let twin = Hospital::empty();
    let removed = write_twin(&dirty.landing, &withheld, &clean.landing, &twin.landing);
    assert!(removed > 500, "{removed}");
    twin.build();

    let figures = twin.world.sql(
        "select table_name as t from information_schema.tables \
         where table_schema = 'gold' and table_name like 'kpi_%' order by 1",
    );
    assert!(figures.len() >= 15, "{figures:?}");
    for figure in figures {
        let query = format!("select * from gold.{}", figure["t"]);
        assert_same_rows(&figure["t"], dirty.world.sql(&query), twin.world.sql(&query));
    }
}

/// The clean extracts without the rows that are withheld of the dirty ones: gives back how many lines that are. A full extract
/// brings a row every day, and the lake keeps it once, so a line is gone wherever it stands.
fn write_twin(dirty: &Path, withheld: &BTreeSet<(String, usize)>, clean: &Path, twin: &Path) -> usize {
    let mut texts: BTreeMap<&str, HashSet<Vec<u8>>> = BTreeMap::new();
    for (file, line) in withheld {
        let entity = file.split('/').next().unwrap();
        texts.entry(entity).or_default().insert(lines(&dirty.join(file))[line - 1].clone());
    }
    let mut removed = 0;
    for folder in std::fs::read_dir(clean).unwrap() {
        let folder = folder.unwrap();
        let entity = folder.file_name().to_string_lossy().into_owned();
        if entity.starts_with('_') {
            continue;
        }
        std::fs::create_dir_all(twin.join(&entity)).unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            let name = Path::new(&entity).join(file.file_name());
            let gone: HashSet<Vec<u8>> = match texts.get(entity.as_str()) {
                Some(texts) => {
                    let damaged = lines(&dirty.join(&name)).into_iter().filter(|line| texts.contains(line));
                    damaged.map(|line| key(&line).to_vec()).collect()
                }
                None => HashSet::new(),
            };
            let all = lines(&file.path());
            let kept: Vec<_> =
                all.iter().filter(|line| line.is_empty() || !gone.contains(key(line))).cloned().collect();
            removed += all.len() - kept.len();
            std::fs::write(twin.join(&name), kept.join(&b'\n')).unwrap();
        }
    }
    removed
}

fn lines(file: &Path) -> Vec<Vec<u8>> {
    std::fs::read(file).unwrap().split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// The first field of a line, whatever separates it; in JSON the first value.
fn key(line: &[u8]) -> &[u8] {
    if line.starts_with(b"{") {
        return line.split(|byte| *byte == b'"').nth(3).unwrap_or_default();
    }
    line.split(|byte| b"|;^~\t,".contains(byte)).next().unwrap_or_default()
}
