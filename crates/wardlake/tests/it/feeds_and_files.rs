//! Tables that several hands fill: files beside a feed, two loads at once; and files that bring no rows, or columns nobody wants.

use serde_json::json;

use crate::{served::Served, world::World};

const TOKEN: (&str, &str) = ("Authorization", "Bearer secret");

/// A table with a key, read from `path` and `settings`.
fn world(path: &str, settings: &str) -> World {
    let world = World::empty();
    world.write("dbt_project.yml", "name: beds\nversion: '1.0'\nmodel-paths: [models, sources]\n");
    world.write(
        "sources/feed.yml",
        format!(
            "version: 2\nsources:\n  - name: feed\n    schema: bronze\n    tables:\n      - name: beds\n        config:\n          meta:\n            wardlake: {{path: '{path}', {settings}}}\n"
        ),
    );
    world
}

/// What bronze says of the only bed, as it came.
fn wards(world: &World) -> Vec<String> {
    let rows = world.sql("select ward from bronze.beds order by _received_at, _position");
    rows.into_iter().map(|row| row["ward"].clone()).collect()
}

fn fed(path: &str) -> World {
    let world = world(path, "keys: [bed], change: changes, http: {token: secret}, format: {type: ndjson}");
    world.write("macros/changes.sql", "{% macro changes(relation) %}{{ relation }}{% endmacro %}");
    world.write(
        "models/beds.sql",
        "{{ config(materialized='incremental') }}\nselect bed, ward from {{ changes(source('feed', 'beds')) }}",
    );
    world
}

fn row(ward: &str) -> String {
    format!("{}\n", json!({"bed": "1", "ward": ward}))
}

/// Delivers a row over HTTP: the `nth` of the table's feed.
fn live(world: &World, ward: &str, nth: u64) {
    let served = Served::start(world, &[], &["http"]);
    let answer = served.post("/ingest/feed/beds", &[TOKEN], row(ward).as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    served.wait_until_shown("feed.beds", nth);
    served.stop();
}

#[test]
fn a04_a_file_that_comes_again_is_news_against_what_a_feed_brought() {
    for (path, [first, second]) in [
        ("inbox/beds_{date}.ndjson", ["inbox/beds_2025-01-01.ndjson", "inbox/beds_2025-01-02.ndjson"]),
        ("inbox/*.ndjson", ["inbox/a.ndjson", "inbox/b.ndjson"]),
        ("inbox/*.ndjson', order_by: 'modified", ["inbox/b.ndjson", "inbox/a.ndjson"]),
    ] {
        let world = fed(path);
        let load = |name: &str, ward: &str| {
            world.write(name, row(ward));
            world.ok(&["ingest"]);
        };
        load(first, "A");
        load(second, "B");
        live(&world, "C", 1);
        load(second, "B");
        assert_eq!(wards(&world), ["A", "B", "C", "B"], "{path}");
        // It is what is known now, until something else comes.
        load(second, "B");
        assert_eq!(wards(&world), ["A", "B", "C", "B"], "{path}");
        live(&world, "C", 2);
        load(second, "C");
        load(first, "A");
        assert_eq!(wards(&world), ["A", "B", "C", "B", "C", "A"], "{path}");
    }
}

#[test]
fn a04_a_file_of_a_day_is_compared_with_what_was_so_on_that_day() {
    let world = fed("inbox/beds_{date}.ndjson");
    let load = |date: &str, ward: &str| {
        world.write(&format!("inbox/beds_{date}.ndjson"), row(ward));
        world.ok(&["ingest"]);
    };
    load("2025-01-01", "A");
    live(&world, "C", 1);
    // Years before the delivery the bed was as it was the day before.
    load("2025-01-02", "A");
    assert_eq!(wards(&world), ["A", "C"]);
    load("2025-01-03", "C");
    assert_eq!(wards(&world), ["A", "C", "C"]);
    // A day behind the delivery is compared with that.
    load("2999-01-01", "C");
    assert_eq!(wards(&world), ["A", "C", "C"]);
    load("2999-01-02", "A");
    assert_eq!(wards(&world), ["A", "C", "C", "A"]);
}

#[test]
fn a04_of_files_by_their_time_the_last_one_counts_though_its_path_is_known() {
    let world = world("inbox/*.csv", "keys: [bed], change: changes, order_by: modified");
    for (name, ward) in [("inbox/a.csv", "A"), ("inbox/b.csv", "B"), ("inbox/a.csv", "A"), ("inbox/a.csv", "A")] {
        world.write(name, format!("bed,ward\n1,{ward}\n"));
        world.ok(&["ingest"]);
    }
    assert_eq!(wards(&world), ["A", "B", "A"]);
}

#[test]
fn a19_loads_at_once_write_down_each_file_once() {
    let world = world("inbox/beds_{date}.csv", "keys: [bed], change: full");
    for day in 1..=5 {
        let rows: String = (0..2000).map(|bed| format!("{bed},ward {day}\n")).collect();
        world.write(&format!("inbox/beds_2025-01-0{day}.csv"), format!("bed,ward\n{rows}"));
        let mut loads: Vec<_> = (0..4).map(|_| world.spawn(&["ingest"])).collect();
        for load in &mut loads {
            load.wait().unwrap();
        }
    }
    world.ok(&["ingest"]);
    assert_eq!(world.count("bronze.beds"), 10_000);
    let logged = world.sql("select file, sequence, rows_read, rows_unchanged from system.load_log order by file");
    assert_eq!(logged.len(), 5, "{logged:?}");
    let is_whole = |row: &crate::world::Row| row["sequence"] == "1" && row["rows_unchanged"] == "0";
    assert!(logged.iter().all(is_whole), "{logged:?}");
}

#[test]
fn b16_a_file_without_rows_makes_an_empty_table() {
    let world = world("inbox/beds_{date}.csv", "keys: [bed], change: full");
    world.write(
        "models/beds.sql",
        "{{ config(materialized='table') }}\nselect bed, ward from {{ source('feed', 'beds') }}",
    );
    world.write("inbox/beds_2025-01-01.csv", "bed,ward\n");
    world.ok(&["ingest"]);
    world.ok(&["run"]);
    assert_eq!((world.count("bronze.beds"), world.count("main.beds"), world.count("system.load_log")), (0, 0, 1));
    world.write("inbox/beds_2025-01-02.csv", "bed,ward,floor\n1,A,2\n");
    world.ok(&["ingest"]);
    world.ok(&["run"]);
    assert_eq!((world.count("main.beds"), world.count("system.load_log")), (1, 2));
    assert_eq!(world.value("select floor from bronze.beds"), "2");
}

#[test]
fn b13_a_column_that_is_left_out_makes_no_row_news() {
    let world = world("inbox/beds_{date}.csv", "keys: [bed], change: full, on_schema_change: ignore");
    world.write("inbox/beds_2025-01-01.csv", "bed,ward\n1,A\n2,B\n");
    world.ok(&["ingest"]);
    world.write("inbox/beds_2025-01-02.csv", "bed,floor,ward\n1,2,A\n2,3,C\n");
    world.ok(&["ingest"]);
    let logged = world.sql("select rows_updated, rows_unchanged, drift from system.load_log order by file");
    assert_eq!((logged[1]["rows_updated"].as_str(), logged[1]["rows_unchanged"].as_str()), ("1", "1"), "{logged:?}");
    assert!(logged[1]["drift"].contains("floor"), "what is left out is told: {logged:?}");
    // Nor does it when it changes, or goes again.
    world.write("inbox/beds_2025-01-03.csv", "bed,floor,ward\n1,9,A\n2,9,C\n");
    world.write("inbox/beds_2025-01-04.csv", "bed,ward\n1,A\n2,C\n");
    world.ok(&["ingest"]);
    assert_eq!(world.count("bronze.beds"), 3);
}
