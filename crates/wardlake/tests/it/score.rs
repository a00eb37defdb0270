//! Simulated networks with every kind of dirt against their truth: what shows is found, what is clean is let alone, and the
//! figures are those of the rows that are left.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use wardlake_simulate::{DIRT_KINDS, DirtKind, SimulationOptions, Truth, simulate, truth};

use crate::world::{World, copy_folder, repository};

/// A network of small hospitals over thirty days with 5 % dirt, and the hospital project beside its extracts.
fn network(seed: u64) -> (World, Truth) {
    let world = World::empty();
    let landing = world.path().join("landing");
    let options = SimulationOptions {
        hospitals: 2,
        days: 30,
        scale: 0.15,
        patients_per_hospital: 150,
        seed,
        dirt: 0.05,
        ..SimulationOptions::default()
    };
    simulate(&options, &landing, &mut |_| {}).unwrap();
    let truth = truth::read(&landing).unwrap();
    copy_folder(&repository().join("hospital"), world.path());
    let landing = landing.to_string_lossy().into_owned();
    (world.env("WARDLAKE_LANDING", &landing), truth)
}

fn score(world: &World) -> Json {
    serde_json::from_str(&world.ok(&["score", "--truth", "landing", "--format", "json"])).unwrap()
}

/// Every figure is as the truth has it, nothing that shows is missed, and no clean row is accused.
fn assert_perfect(seed: u64, world: &World, score: &Json) {
    let problems = |list: &str, is_wrong: fn(&Json) -> bool, json: &Json| -> Vec<Json> {
        json[list].as_array().unwrap().iter().filter(|entry| is_wrong(entry)).cloned().collect()
    };
    let kinds = problems("kinds", |kind| kind["missed"] != 0 || kind["wrongly_accused"] != 0, score);
    assert_eq!(kinds, [Json::Null; 0], "seed {seed}");
    for table in score["tables"].as_array().unwrap() {
        let figures = problems("figures", |figure| figure["rows_different"] != 0 || figure["rows"] == 0, table);
        assert_eq!(figures, [Json::Null; 0], "seed {seed}, {}", table["table"]);
    }
    assert_eq!(score["is_perfect"], true, "seed {seed}");

    assert_eq!(world.value("select count(*) as n from system.accounting where not is_balanced"), "0", "seed {seed}");
    assert_ne!(world.value("select sum(rows_quarantined) as n from system.accounting"), "0", "seed {seed}");
    let unbalanced = "select count(*) as n from system.load_log \
                      where rows_read <> rows_inserted + rows_updated + rows_unchanged + rows_repeated";
    assert_eq!(world.value(unbalanced), "0", "seed {seed}: a file's rows are accounted for");
}

/// Nothing is withheld but rows the truth knows to be damaged.
fn assert_no_clean_row_withheld(seed: u64, world: &World, truth: &Truth) {
    let damaged: BTreeSet<(String, u64)> = truth
        .dirty_rows
        .iter()
        .flat_map(|row| [Some(row.line), row.pair_line].into_iter().flatten().map(|line| (row.file.clone(), line)))
        .collect();
    let tables = world.sql("select table_name as t from information_schema.tables where table_schema = 'quarantine'");
    assert!(tables.len() > 5, "seed {seed}: {tables:?}");
    for table in tables {
        for row in world.sql(&format!("select source_file as f, source_position as p from quarantine.{}", table["t"])) {
            let place = (row["f"].clone(), row["p"].parse().unwrap());
            assert!(damaged.contains(&place), "seed {seed}: {} withholds {place:?}", table["t"]);
        }
    }
}

/// The loader names every line of a keyed table that stands twice in its file, and no other.
fn assert_repeated_lines_are_named(seed: u64, world: &World, truth: &Truth) {
    let is_keyed = |entity: &str| !["adt", "dispensed"].contains(&entity);
    let repeated = truth.dirty_rows.iter().filter(|row| row.kind == DirtKind::RepeatedLine && is_keyed(&row.entity));
    let expected: BTreeSet<(String, u64)> = repeated.map(|row| (row.file.clone(), row.line)).collect();
    let named = world.sql("select _file as f, _position as p from system.repeated_rows");
    let count = named.len();
    let named: BTreeSet<(String, u64)> =
        named.into_iter().map(|row| (row["f"].clone(), row["p"].parse().unwrap())).collect();
    assert_eq!(count, named.len(), "seed {seed}: each once");
    assert_eq!(named, expected, "seed {seed}");
    let counted = world.value("select sum(rows_repeated) as n from system.load_log");
    assert_eq!(counted, count.to_string(), "seed {seed}: the load log counts them");
}

#[test]
fn every_kind_is_found_nothing_clean_is_accused_and_the_figures_are_right() {
    let seeds = std::env::var("WARDLAKE_SCORE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let mut injected: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 1..=seeds {
        let (world, truth) = network(seed);
        world.ok(&["ingest", "--quiet"]);
        world.ok(&["build", "--quiet"]);
        let score = score(&world);
        for kind in score["kinds"].as_array().unwrap() {
            let name = kind["kind"].as_str().unwrap().to_owned();
            *injected.entry(name).or_default() += kind["injected"].as_u64().unwrap();
        }
        assert_perfect(seed, &world, &score);
        assert_no_clean_row_withheld(seed, &world, &truth);
        assert_repeated_lines_are_named(seed, &world, &truth);
    }
    let silent = DIRT_KINDS.iter().filter(|kind| injected.get(kind.name()).is_none_or(|count| *count == 0));
    let silent: Vec<&str> = silent.map(|kind| kind.name()).collect();
    assert_eq!(silent, ["out_of_order_file"], "every other kind shows in the bytes and was there to be found");
}

#[test]
fn files_out_of_order_are_named_and_change_no_figure() {
    let seed = 101;
    let (world, truth) = network(seed);
    let out_of_order = truth.dirty_rows.iter().filter(|row| row.kind == DirtKind::OutOfOrderFile);
    let late: BTreeSet<String> = out_of_order.map(|row| row.file.clone()).collect();
    assert!(!late.is_empty());
    let aside = |file: &String| world.path().join("aside").join(file.replace('/', "_"));
    std::fs::create_dir(world.path().join("aside")).unwrap();
    for file in &late {
        std::fs::rename(world.path().join("landing").join(file), aside(file)).unwrap();
    }
    world.ok(&["ingest", "--quiet"]);
    for file in &late {
        std::fs::rename(aside(file), world.path().join("landing").join(file)).unwrap();
    }
    world.ok(&["ingest", "--quiet"]);
    world.ok(&["build", "--quiet"]);
    let named = world.sql("select file as f from system.load_log where is_late");
    assert_eq!(named.into_iter().map(|row| row["f"].clone()).collect::<BTreeSet<_>>(), late);
    assert_perfect(seed, &world, &score(&world));
    assert_repeated_lines_are_named(seed, &world, &truth);
}

#[test]
fn what_was_not_found_is_said() {
    let (world, _) = network(7);
    world.ok(&["ingest", "--quiet"]);
    world.ok(&["build", "--quiet"]);
    // A truth with one more damaged line than there is.
    let path = world.path().join("landing/_truth/dirty_rows.csv");
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str("rooms,R,late_row,rooms/rooms_2026-03-05.csv,3,,,,true,999999,,\n");
    std::fs::write(&path, text).unwrap();
    let printed = world.ok(&["score", "--truth", "landing"]);
    assert!(printed.starts_with("The warehouse differs from the truth."), "{printed}");
    assert!(printed.contains("missed: rooms rooms/rooms_2026-03-05.csv:3"), "{printed}");
    assert!(printed.contains("gold.mart_operational__department_day"), "{printed}");
    let printed = world.fails(2, &["score", "--truth", "nowhere"]);
    assert!(printed.contains("nowhere"), "{printed}");
}
