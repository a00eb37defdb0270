//! `wardlake debug --limits`: every time-out, bound and retention with what holds, as the documentation has them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    served::{POLL, Served},
    world::{World, repository},
};

fn project() -> World {
    let world = World::empty();
    world.write("dbt_project.yml", "name: ward\nversion: '1.0'\nmodel-paths: [models]\n");
    world.write("models/wards.sql", "select 1 as ward\n");
    world
}

/// What holds, by what it is of.
fn in_force(world: &World, of: &str) -> BTreeMap<String, String> {
    let text = world.ok(&["debug", "--limits", "--json"]);
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| (row["what"].as_str().unwrap().to_owned(), row[of].as_str().unwrap().to_owned())).collect()
}

/// The rows of the tables in docs/OPERATIONS.md that say a default and where it is set.
fn documented() -> Vec<[String; 3]> {
    let text = std::fs::read_to_string(repository().join("docs/OPERATIONS.md")).unwrap();
    let mut rows = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        let cells: Vec<String> = line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
        match &cells[..] {
            _ if !line.starts_with('|') => is_inside = false,
            [what, default, set_by] if what == "what" && default == "default" && set_by == "set by" => is_inside = true,
            [what, ..] if what.starts_with("---") => {}
            [what, default, set_by] if is_inside => rows.push([what.clone(), default.clone(), set_by.clone()]),
            _ => assert!(!is_inside, "not three cells: {line}"),
        }
    }
    rows
}

#[test]
fn debug_limits_and_the_documentation_say_the_same() {
    let text = project().ok(&["debug", "--limits", "--json"]);
    let shown: Vec<[String; 3]> = text
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            ["what", "default", "set_by"].map(|name| row[name].as_str().unwrap().to_owned())
        })
        .collect();
    let documented = documented();
    assert!(documented.len() > 60, "{documented:?}");
    for row in &documented {
        assert!(shown.contains(row), "docs/OPERATIONS.md has {row:?}, `wardlake debug --limits` does not");
    }
    for row in &shown {
        assert!(documented.contains(row), "`wardlake debug --limits` has {row:?}, docs/OPERATIONS.md does not");
    }
}

#[test]
fn debug_limits_shows_what_is_said_in_settings() {
    let world = project();
    let defaults = in_force(&world, "default");
    let mut expected = in_force(&world, "value");
    for (what, value) in &expected {
        let is_the_machines = what.starts_with("memory of queries");
        assert!(is_the_machines || *value == defaults[what], "{what} is {value} although nothing is said");
    }
    world.write(
        "wardlake.yml",
        "retention: {system: 30, runs: never}\nepochs: {keep_bytes: 50GiB}\nmin_free: 1GiB\n\
         targets:\n  dev: {lake: lake, threads: 3, memory_limit: 1GiB, retention: {run_nodes: 7}}\n",
    );
    world.write(
        "models/sources.yml",
        "version: 2\nsources:\n  - name: lab\n    schema: bronze\n    tables:\n      - name: orders\n        config: \
         {meta: {wardlake: {http: {token: secret, max_bytes: 1000}, format: {type: ndjson}}}}\n        \
         columns: [{name: id}]\n",
    );
    for (what, value) in [
        ("bytes that only old epochs need", "50 GiB"),
        ("free space without which no delivery is taken", "1 GiB"),
        ("memory of queries before they spill", "1024 MiB"),
        ("nodes at once", "3"),
        ("body of a request to lab.orders", "1000 bytes"),
        ("rows of system.runs", "for ever"),
        ("rows of system.run_nodes", "7 days"),
        ("rows of system.accounting", "30 days"),
        ("rows of system.alerts", "30 days"),
        ("rows of system.anomalies", "30 days"),
        ("rows of system.damage", "30 days"),
        ("rows of system.kpi_bounds", "30 days"),
        ("rows of system.profiles", "30 days"),
        ("rows of system.rejected_rows", "30 days"),
        ("rows of system.repeated_rows", "30 days"),
        ("rows of system.rule_results", "30 days"),
    ] {
        expected.insert(what.to_owned(), value.to_owned());
    }
    assert_eq!(in_force(&world, "value"), expected);
    let text = world.ok(&["debug", "--limits"]);
    let line = text.lines().find(|line| line.starts_with("rows of system.run_nodes ")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[3..], ["7", "days", "400", "days", "retention.run_nodes", "of", "wardlake.yml"]);
}

#[test]
fn debug_limits_shows_what_the_running_server_was_told() {
    let world = project();
    let kept = world.path().join("lake/_state/serve.json");
    let arguments = ["--head-timeout", "7", "--max-waiting", "3", "--refresh", "3600", "--connections-per-peer", "9"];
    let served = Served::start(&world, &arguments, &["http"]);
    let deadline = Instant::now() + Duration::from_secs(120);
    while !kept.exists() {
        assert!(Instant::now() < deadline, "the server does not say how it stands");
        std::thread::sleep(POLL);
    }
    let rows = in_force(&world, "value");
    for (what, value) in [
        ("head of a request, and a TLS handshake", "7 s"),
        ("bytes of one table that wait to be loaded", "3 MiB"),
        ("between two rebuilds of models that take no increments", "1 h"),
        ("connections of one address", "9"),
        ("ports stay open after a stop", "0 s"),
        ("HTTP connection between two requests", "60 s"),
    ] {
        assert_eq!(rows[what], value, "{what}");
    }
    served.stop();
    let rows = in_force(&world, "value");
    assert_eq!(rows["head of a request, and a TLS handshake"], "10 s", "no server has the lake any more");
}
