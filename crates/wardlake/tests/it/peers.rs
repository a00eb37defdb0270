//! Other engines read the tables, and dbt agrees with us. `cargo xtask test` installs the peers and names their Python.

use std::{path::Path, process::Command};

use wardlake_testkit::skip::skipped;

use crate::world::{World, repository};

/// The Python that has the peers; skips with a message where they are not installed.
pub(crate) fn python() -> Option<String> {
    let python = std::env::var("WARDLAKE_PEERS_PYTHON").ok();
    if python.is_none() {
        skipped("the peers are not installed; `cargo xtask test` installs them");
    }
    python
}

/// Runs one of the peers' scripts.
fn peer(script: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(python()?)
        .arg(repository().join("peers").join(script))
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{script}\n{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    Some(printed)
}

/// Exports every table and view outside `system` as Parquet; gives back their names and which are tables.
fn export(world: &World, folder: &Path) -> Vec<String> {
    std::fs::create_dir_all(folder).unwrap();
    let found = world.sql(
        "select table_schema as s, table_name as t from information_schema.tables \
         where table_schema not in ('system', 'information_schema') order by 1, 2",
    );
    let mut tables = Vec::new();
    for row in found {
        let (schema, table) = (&row["s"], &row["t"]);
        let file = folder.join(format!("{schema}.{table}.parquet"));
        let query = format!("select * from \"{schema}\".\"{table}\"");
        world.ok(&["sql", &query, "--format", "parquet", "--out", &file.to_string_lossy()]);
        if world.path().join("lake").join(schema).join(table).join("_delta_log").is_dir() {
            tables.push(format!("{schema}.{table}"));
        }
    }
    tables
}

/// Other engines read these tables of a world's lake alike.
pub(crate) fn read_everywhere(world: &World, tables: &[&str]) {
    let lake = world.path().join("lake");
    let arguments: Vec<&str> = std::iter::once(lake.to_str().unwrap()).chain(tables.iter().copied()).collect();
    let Some(printed) = peer("read_tables.py", &arguments) else { return };
    let report: serde_json::Value = serde_json::from_str(&printed).unwrap();
    for table in tables {
        assert!(report["tables"][table].as_object().unwrap().len() >= 2, "{printed}");
    }
}

#[test]
fn other_engines_read_the_same_rows() {
    let Some(world) = World::example("patient-flow") else { return };
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    let exported = world.path().join("exported");
    let tables = export(&world, &exported);
    assert!(tables.len() > 2, "{tables:?}");
    let lake = world.path().join("lake");
    let mut arguments = vec![lake.to_str().unwrap()];
    arguments.extend(tables.iter().map(String::as_str));
    arguments.extend(["--export", exported.to_str().unwrap()]);
    let Some(printed) = peer("read_tables.py", &arguments) else { return };
    let report: serde_json::Value = serde_json::from_str(&printed).unwrap();
    for table in &tables {
        assert!(report["tables"][table].as_object().unwrap().len() >= 3, "{printed}");
    }
}

#[test]
fn dbt_builds_the_same_tables() {
    let Some(world) = World::example("hms") else { return };
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    let exported = world.path().join("exported");
    export(&world, &exported);
    let (project, lake) = (world.path().to_owned(), world.path().join("lake"));
    let results = world.path().join("target/run_results.json");
    let arguments = [
        project.to_str().unwrap(),
        lake.to_str().unwrap(),
        "--export",
        exported.to_str().unwrap(),
        "--run-results",
        results.to_str().unwrap(),
    ];
    peer("dbt_compare.py", &arguments);
}

#[test]
fn dbt_parses_every_shipped_project_without_a_warning() {
    let examples = repository().join("examples");
    let projects = [repository().join("hospital"), examples.join("patient-flow"), examples.join("hms")];
    let projects: Vec<&str> = projects.iter().map(|project| project.to_str().unwrap()).collect();
    peer("dbt_parse.py", &projects);
}
