//! What was accepted and did nothing, or told people less than it knew.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    audit,
    mllp::{Sender, clinic, verdict},
    served::{POLL, Served, signal},
    world::World,
};

/// No condition of a test takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

const PROJECT: &str = "name: ward\nversion: '1.0'\nmodel-paths: [models, sources]\n";

fn project(files: &[(&str, &str)]) -> World {
    let world = World::empty();
    world.write("dbt_project.yml", PROJECT);
    files.iter().for_each(|(name, text)| world.write(name, text));
    world
}

/// What a command tells of the project: `file:line:column message help`.
fn problems(world: &World, command: &str) -> Vec<String> {
    let output = world.run(&[command, "--log-format", "json"]);
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let events = printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events
        .filter(|event| event["event"] == "problem")
        .map(|event| {
            let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            format!("{}:{}:{} {} {}", text("file"), event["line"], event["column"], text("message"), text("help"))
        })
        .collect()
}

#[test]
fn a_strategy_that_nobody_knows_is_told_before_the_first_build() {
    for (strategy, says) in [("microbatch", "`microbatch` is not supported"), ("mergee", "did you mean `merge`?")] {
        let config = format!("config(materialized='incremental', incremental_strategy='{strategy}')");
        let model = format!("{{{{ {config} }}}}\nselect 1 as id");
        let world = project(&[("models/beds.sql", model.as_str())]);
        world.fails(2, &["build"]);
        let told = problems(&world, "parse");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("models/beds.sql:1:"), "{told:?}");
        assert!(told[0].contains("append, merge, delete+insert, insert_overwrite"), "{told:?}");
        assert!(told[0].contains(says), "{told:?}");
    }
    // What makes a table of a model makes nothing of its strategy.
    let table = "{{ config(materialized='table', incremental_strategy='microbatch') }}\nselect 1 as id";
    project(&[("models/beds.sql", table)]).ok(&["build"]);
    let snapshot =
        "{% snapshot beds %}{{ config(strategy='hourly', unique_key='id') }} select 1 as id{% endsnapshot %}";
    let told = problems(&project(&[("snapshots/beds.sql", snapshot)]), "parse");
    assert!(told.len() == 1 && told[0].contains("one of timestamp, check"), "{told:?}");
}

#[test]
fn packages_that_are_declared_and_not_there_are_told() {
    let declared = "packages:
  - package: dbt-labs/dbt_utils
    version: 1.3.0
  - git: https://example.org/our-macros.git
    revision: main
  - local: ../shared_models
";
    let world = project(&[("packages.yml", declared), ("models/beds.sql", "select {{ our_macros.one() }} as id")]);
    let missing = |world: &World| -> Vec<String> {
        problems(world, "parse").into_iter().filter(|told| told.starts_with("packages.yml")).collect()
    };
    let told = missing(&world);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("packages.yml:2:"), "{told:?}");
    assert!(told[0].contains("`dbt_utils` is not in dbt_packages/"), "{told:?}");
    assert!(told.iter().all(|told| told.contains("dbt deps")), "{told:?}");
    // What is there is read, whatever its folder is called.
    world.write("dbt_packages/macros_of_ours/dbt_project.yml", "name: our_macros\n");
    world.write("dbt_packages/macros_of_ours/macros/one.sql", "{% macro one() %}1{% endmacro %}");
    world.write("dbt_packages/dbt_utils/dbt_project.yml", "name: dbt_utils\n");
    world.write("dbt_packages/dbt_utils/models/from_package.sql", "select 2 as id");
    let told = missing(&world);
    assert!(told.len() == 1 && told[0].contains("`shared_models`"), "{told:?}");
    world.write("dbt_packages/any_name/dbt_project.yml", "name: any_name\n");
    assert_eq!(missing(&world), Vec::<String>::new());
    world.ok(&["build"]);
    assert_eq!(world.value("select b.id + p.id as n from main.beds as b cross join main.from_package as p"), "3");
}

#[test]
fn versions_of_a_model_are_told_as_what_they_are() {
    let properties = "models:
  - name: dim
    latest_version: 2
    versions:
      - v: 1
      - v: 2
";
    let world = project(&[
        ("models/dim_v1.sql", "select 1 as id"),
        ("models/dim_v2.sql", "select 2 as id"),
        ("models/dim.yml", properties),
    ]);
    let told = problems(&world, "parse");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("models/dim.yml:4:5 model versions are not supported"), "{told:?}");
    world.write("models/reader.sql", "select * from {{ ref('dim') }}");
    let told = problems(&world, "parse");
    let is_of_reader = |told: &&String| told.starts_with("models/reader.sql:1:");
    assert!(told.iter().find(is_of_reader).is_some_and(|told| told.contains("`dim_v1`, `dim_v2`")), "{told:?}");
    world.write("models/reader.sql", "select * from {{ ref('dim', v=1) }}");
    world.ok(&["build"]);
    assert_eq!(world.value("select id from main.reader"), "1");
}

#[test]
fn models_read_the_time_zone_of_their_source() {
    let source = "sources:
  - name: feed
    schema: bronze
    config: {meta: {wardlake: {time_zone: Europe/Berlin}}}
    tables:
      - name: beds
        config: {meta: {wardlake: {path: 'landing/*.csv'}}}
      - name: far
        config: {meta: {wardlake: {path: 'far/*.csv', time_zone: Asia/Tokyo}}}
";
    let world = project(&[
        ("sources/feed.yml", source),
        ("landing/beds.csv", "bed\n1\n"),
        ("far/beds.csv", "bed\n1\n"),
        (
            "models/zones.sql",
            "{{ config(materialized='table') }}
select '{{ source('feed', 'beds').time_zone }} {{ source('feed', 'far').time_zone }}' as zones
from {{ source('feed', 'beds') }}",
        ),
    ]);
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    assert_eq!(world.value("select zones from main.zones"), "Europe/Berlin Asia/Tokyo");
}

#[test]
fn a_rejected_message_has_the_sentence_of_its_reason() {
    let world = clinic("true");
    let served = Served::start(&world, &["--mllp", "127.0.0.1:0"], &["http", "mllp"]);
    let mut sender = Sender::connect(served.mllp.unwrap()).unwrap();
    let of_no_version = b"MSH|^~\\&|ADT|NORTH|LAKE|HOME|20261128120000||ADT^A01|M5|P|9.9\rPID|1||P1\r";
    assert_ne!(verdict(&sender.send(of_no_version).unwrap()).0, "AA");
    let message = "select message from system.rejected_rows where _source = 'hl7.messages'";
    served.wait_for("the message to be set aside", |_| !world.sql(message).is_empty());
    served.stop();
    let told = world.value(message);
    assert!(told.starts_with("the source does not take messages of this version; from 127.0.0.1:"), "{told}");
}

/// The columns of each relation of the schema `system`, as a query shows them.
fn columns_of_records(world: &World) -> BTreeMap<&'static str, String> {
    const RELATIONS: [&str; 15] = [
        "accounting",
        "alerts",
        "anomalies",
        "damage",
        "identity_decisions",
        "kpi_bounds",
        "load_log",
        "profiles",
        "quarantine_actions",
        "rejected_rows",
        "repeated_rows",
        "replays",
        "rule_results",
        "run_nodes",
        "runs",
    ];
    let header = |name: &&'static str| {
        let text = world.ok(&["sql", &format!("select * from system.{name} limit 0"), "--format", "csv"]);
        (*name, text.lines().next().unwrap_or_default().to_owned())
    };
    RELATIONS.iter().map(header).collect()
}

#[test]
fn relations_of_the_lake_itself_are_empty_before_their_first_row() {
    let world = audit::world(audit::RULES);
    // A line that stands there twice, and one that is no record.
    world.write(
        "landing/stays_2025-01-12.csv",
        "stay,gender,admitted,discharged,beds,ward,state\n8,M,2025-01-02,2025-01-09,1,A,\n8,M,2025-01-02,2025-01-09,1,A,\n\
         9,M,2025-01-02,2025-01-08,1,A,,far,too,many\n",
    );
    let known = columns_of_records(&world);
    assert!(known.values().all(|header| header.contains(',')), "{known:?}");
    assert_eq!(world.count("system.anomalies"), 0);
    // A column that it never has is no column of an empty one either.
    assert!(!world.run(&["sql", "select no_such_column from system.anomalies"]).status.success());
    assert!(!world.run(&["sql", "select * from system.no_such_relation"]).status.success());

    world.ok(&["ingest"]);
    world.ok(&["build"]);
    let of_loads = ["load_log", "rejected_rows", "repeated_rows"];
    let of_builds = ["accounting", "profiles", "rule_results", "run_nodes", "runs"];
    for written in of_loads.into_iter().chain(of_builds) {
        assert!(world.count(&format!("system.{written}")) > 0, "{written} was to be written");
    }
    assert_eq!(columns_of_records(&world), known);
}

/// Whether a file in the making lies in a folder or below it.
fn has_partial(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.filter_map(Result::ok).any(|entry| match entry.path().is_dir() {
        true => has_partial(&entry.path()),
        false => entry.file_name().to_string_lossy().ends_with(".tmp"),
    })
}

#[test]
fn a_simulation_that_is_cancelled_leaves_no_half_file() {
    let world = World::empty();
    let out = world.path().join("extracts");
    // At this pace its first midnight is a day away.
    let arguments = ["simulate", "--out", "extracts", "--hospitals", "1", "--days", "2", "--follow", "--speed", "1"];
    let mut child = world.spawn(&arguments);
    let deadline = Instant::now() + PATIENCE;
    while !has_partial(&out) {
        assert!(Instant::now() < deadline, "no file was begun");
        std::thread::sleep(POLL);
    }
    signal(child.id(), "INT");
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(POLL);
    }
    assert!(!has_partial(&out), "a half file stays in {}", out.display());
}
