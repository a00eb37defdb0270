//! Commands as a user types them: what they print, what they leave, how they end.

use crate::world::World;

fn project(models: &[(&str, &str)]) -> World {
    let world = World::empty();
    world.write("dbt_project.yml", "name: ward\nversion: '1.0'\nmodel-paths: [models]\nseed-paths: [seeds]\n");
    for (name, sql) in models {
        world.write(&format!("models/{name}"), sql);
    }
    world
}

#[test]
fn a_build_runs_in_order_tests_and_publishes() {
    let world = project(&[
        ("beds.sql", "{{ config(materialized='table') }} select * from {{ ref('bed_list') }} where staffed = 'Y'"),
        ("bed_count.sql", "select ward, count(*) as beds from {{ ref('beds') }} group by ward"),
        ("schema.yml", "models:\n  - name: beds\n    columns:\n      - name: bed\n        tests: [unique, not_null]\n"),
    ]);
    world.write("seeds/bed_list.csv", "bed,ward,staffed\n01,A,Y\n02,A,Y\n03,B,N\n");
    let printed = world.ok(&["build"]);
    assert!(printed.contains("PASS=5 WARN=0 ERROR=0 SKIP=0 TOTAL=5"), "{printed}");
    assert!(printed.contains("Published epoch 1."), "{printed}");
    assert_eq!(world.value("select beds from main.bed_count"), "2");
    assert_eq!(world.value("select min(bed) as bed from main.beds"), "01", "leading zeros survive a seed");
    for artifact in ["manifest.json", "run_results.json"] {
        assert!(world.path().join("target").join(artifact).exists(), "{artifact}");
    }
    let printed = world.ok(&["build"]);
    assert!(printed.contains("unchanged"), "{printed}");
    assert_eq!(world.ok(&["epochs", "list"]).lines().count(), 1, "nothing new, nothing published");
}

/// The rows of a view are those of the tables below it, whoever wrote these since.
#[test]
fn what_reads_a_view_runs_again_when_a_table_below_it_has_moved() {
    let world = project(&[
        ("beds.sql", "{{ config(materialized='table') }} select * from {{ ref('bed_list') }}"),
        ("staffed.sql", "{{ config(materialized='view') }} select * from {{ ref('beds') }} where staffed = 'Y'"),
        ("known.sql", "{{ config(materialized='view') }} select * from {{ ref('staffed') }}"),
        ("counted.sql", "{{ config(materialized='table') }} select count(*) as beds from {{ ref('known') }}"),
        ("schema.yml", "models:\n  - name: known\n    columns:\n      - name: bed\n        tests: [unique]\n"),
    ]);
    world.write("seeds/bed_list.csv", "bed,staffed\n01,Y\n02,N\n");
    world.ok(&["build"]);
    let unchanged = world.ok(&["run", "--select", "counted"]);
    assert!(unchanged.contains("unchanged"), "{unchanged}");
    world.write("seeds/bed_list.csv", "bed,staffed\n01,Y\n01,Y\n");
    world.ok(&["build", "--select", "bed_list", "beds"]);
    world.ok(&["run", "--select", "counted"]);
    assert_eq!(world.value("select beds from main.counted"), "2");
    let printed = world.fails(1, &["test", "--select", "unique_known_bed"]);
    assert!(printed.contains("ERROR=1"), "{printed}");
}

#[test]
fn a_failed_gate_leaves_the_published_tables() {
    let world = project(&[
        ("beds.sql", "{{ config(materialized='table') }} select * from {{ ref('bed_list') }}"),
        ("wards.sql", "{{ config(materialized='table') }} select distinct ward from {{ ref('beds') }}"),
        ("schema.yml", "models:\n  - name: beds\n    columns:\n      - name: bed\n        tests: [unique]\n"),
    ]);
    world.write("seeds/bed_list.csv", "bed,ward\n01,A\n");
    world.ok(&["build"]);
    world.write("seeds/bed_list.csv", "bed,ward\n01,A\n01,B\n");
    let printed = world.fails(1, &["build"]);
    assert!(printed.contains("ERROR=1 SKIP=1"), "{printed}");
    assert_eq!(world.count("main.beds"), 1, "readers keep the last good epoch");
    assert_eq!(world.ok(&["sql", "select count(*) as n from main.beds", "--working", "--format", "csv"]), "n\n2\n");
    world.write("seeds/bed_list.csv", "bed,ward\n01,A\n02,B\n");
    world.ok(&["build"]);
    assert_eq!(world.count("main.wards"), 2);
    world.ok(&["epochs", "rollback", "1"]);
    assert_eq!(world.count("main.beds"), 1);
    assert_eq!(world.ok(&["sql", "select count(*) as n from main.beds", "--epoch", "2", "--format", "csv"]), "n\n2\n");
}

#[test]
fn incremental_models_append_and_merge() {
    let world = project(&[(
        "stays.sql",
        "{{ config(materialized='incremental', unique_key='id') }}
         select cast({{ var('id', 0) }} as bigint) as id, '{{ var('ward', '') }}' as ward, {{ is_incremental() }} as again",
    )]);
    world.ok(&["run", "--vars", "{id: 1, ward: A}"]);
    world.ok(&["run", "--vars", "{id: 2, ward: A}"]);
    world.ok(&["run", "--vars", "{id: 1, ward: B}"]);
    let rows = world.sql("select id, ward, again from main.stays order by id");
    let rows: Vec<String> = rows.iter().map(|row| format!("{} {} {}", row["id"], row["ward"], row["again"])).collect();
    assert_eq!(rows, ["1 B true", "2 A true"]);
    world.ok(&["run", "--full-refresh", "--vars", "{id: 3, ward: C}"]);
    assert_eq!(world.count("main.stays"), 1);
}

#[test]
fn snapshots_keep_versions() {
    let world = project(&[("ward.sql", "select 1 as id, '{{ var('name', '') }}' as name")]);
    world.write(
        "snapshots/snap_ward.sql",
        "{% snapshot snap_ward %}{{ config(unique_key='id', strategy='check', check_cols='all', target_schema='main') }}
         select * from {{ ref('ward') }}{% endsnapshot %}",
    );
    for name in ["A", "A", "B"] {
        world.ok(&["build", "--vars", &format!("{{name: {name}}}")]);
    }
    assert_eq!(world.count("main.snap_ward"), 2);
    assert_eq!(world.value("select name from main.snap_ward where dbt_valid_to is null"), "B");
}

#[test]
fn every_problem_is_shown_at_once_with_its_place() {
    let world = project(&[
        ("a.sql", "select * from {{ ref('bedz') }}"),
        ("b.sql", "select {{ nonsense( }} from x"),
        ("beds.sql", "select 1 as bed"),
    ]);
    let printed = world.fails(2, &["build"]);
    for part in ["bedz", "did you mean", "beds", "models/a.sql:1", "models/b.sql:1"] {
        assert!(printed.contains(part), "`{part}` is missing in:\n{printed}");
    }
}

#[test]
fn a_broken_model_skips_what_needs_it() {
    let world = project(&[
        ("a.sql", "{{ config(materialized='table') }} select nowhere from {{ ref('b') }}"),
        ("b.sql", "select 1 as here"),
        ("c.sql", "select * from {{ ref('a') }}"),
        ("d.sql", "select * from {{ ref('b') }}"),
    ]);
    let printed = world.fails(1, &["build"]);
    assert!(printed.contains("PASS=2 WARN=0 ERROR=1 SKIP=1 TOTAL=4"), "{printed}");
    assert!(printed.contains("nowhere"), "{printed}");
}

#[test]
fn queries_read_and_nothing_else() {
    let world = project(&[("beds.sql", "select 1 as bed")]);
    world.ok(&["run"]);
    for (statement, code) in
        [("drop view main.beds", 2), ("copy (select 1) to '/tmp/x.csv'", 2), ("select * from main.bedz", 2)]
    {
        let printed = world.fails(code, &["sql", statement]);
        assert!(printed.contains("error"), "{printed}");
    }
    assert!(world.fails(2, &["sql", "select * from main.bedz"]).contains("did you mean `main.beds`"));
    assert_eq!(world.ok(&["sql", "select 1 as a, 'x' as b", "--format", "json"]).trim(), r#"[{"a":1,"b":"x"}]"#);
    world.ok(&["sql", "select 1 as a", "--format", "parquet", "--out", "one.parquet"]);
    assert!(world.path().join("one.parquet").metadata().unwrap().len() > 100);
}

#[test]
fn a_query_needs_a_lake_and_no_project() {
    let world = project(&[("beds.sql", "{{ config(materialized='table') }} select 7 as bed")]);
    world.ok(&["run"]);
    let lake = world.path().join("lake").to_string_lossy().into_owned();
    let elsewhere = World::empty();
    let query = ["sql", "select bed from main.beds", "--format", "csv"];
    assert_eq!(elsewhere.ok(&[&query[..], &["--lake", &lake]].concat()), "bed\n7\n");
    assert!(elsewhere.fails(2, &query).contains("name a project with --project-dir, or a lake with --lake"));
    let printed = elsewhere.fails(2, &[&query[..], &["--lake", "no/such/lake"]].concat());
    assert!(printed.contains("there is no such folder"), "{printed}");
    assert!(!elsewhere.path().join("no").exists(), "a look creates nothing");
    let elsewhere = elsewhere.env("WARDLAKE_LAKE", &lake);
    assert_eq!(elsewhere.value("select bed from main.beds"), "7");
}

#[test]
fn selection_and_listing() {
    let world = project(&[
        ("a.sql", "{{ config(tags=['nightly']) }} select 1 as x"),
        ("b.sql", "select * from {{ ref('a') }}"),
        ("c.sql", "select 2 as y"),
    ]);
    let names = |selector: &[&str]| {
        let mut arguments = vec!["ls", "--output", "name", "--select"];
        arguments.extend(selector);
        world.ok(&arguments).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names(&["tag:nightly+"]), ["a", "b"]);
    assert_eq!(names(&["+b"]), ["a", "b"]);
    assert_eq!(names(&["b", "c"]), ["b", "c"]);
    assert_eq!(names(&["+b,tag:nightly"]), ["a"]);
}

#[test]
fn help_completions_and_manual_come_from_one_definition() {
    let world = World::empty();
    assert!(world.ok(&["--version"]).starts_with("wardlake "));
    for shell in ["bash", "zsh", "fish"] {
        assert!(world.ok(&["completions", shell]).contains("snapshot"));
    }
    assert!(world.ok(&["man"]).contains("SUBCOMMANDS"));
    assert!(world.fails(2, &["bild"]).contains("build"));
}

#[test]
fn json_events_are_one_object_per_line() {
    let world = project(&[("beds.sql", "select 1 as bed")]);
    let printed = world.ok(&["run", "--log-format", "json"]);
    let events: Vec<serde_json::Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["run_started", "node_started", "node_finished", "epoch_published", "run_finished"]);
    assert_eq!(world.value("select command from system.runs"), "run");
}

#[test]
fn the_demo_works_in_an_empty_folder() {
    let world = World::empty();
    let printed = world.ok(&["demo", "--days", "3"]);
    for part in ["What was built", "What was wrong in the data", "Key figures", "occupancy"] {
        assert!(printed.to_lowercase().contains(&part.to_lowercase()), "`{part}` is missing in:\n{printed}");
    }
    let again = world.ok(&["ingest", "--project-dir", "wardlake-demo"]);
    assert!(!again.contains("OK loaded"), "a rerun loads nothing:\n{again}");
}
