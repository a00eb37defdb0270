//! A node that failed says why and in which file, wherever that is told, and quotes no value.

use serde_json::Value;

use crate::world::World;

/// Models that fail, and what each says.
const FAILING: [(&str, &str, &[&str]); 7] = [
    (
        "divided",
        "select 10 / n as share from {{ ref('numbers') }}",
        &["computing the rows for main.divided failed: division by zero", "nullif", "\n  --> models/divided.sql"],
    ),
    (
        "misread",
        "select cast(s as integer) as n from {{ ref('numbers') }}",
        &["computing the rows for main.misread failed: ", "read as integer", "try_cast", "\n  --> models/misread.sql"],
    ),
    (
        "grown",
        "select distinct cast(s as integer) as n from {{ ref('numbers') }}",
        &["computing the rows for main.grown failed: ", "read as integer", "\n  --> models/grown.sql"],
    ),
    ("unnamed", "select nurses from {{ ref('numbers') }}", &["no column `nurses`", "\n  --> models/unnamed.sql:2:8"]),
    ("unknown", "select * from main.nowhere", &["main.nowhere", "\n  --> models/unknown.sql:2:20"]),
    (
        "misspelt",
        "select n\nfrom {{ ref('numbers') }}\nwhere n = )",
        // Behind the line of its settings, and the lines of its own before.
        &["Expected", "\n  --> models/misspelt.sql:4:11"],
    ),
    (
        "longer",
        "select n\nfrom {{ ref('numbers') }}{% for i in [1, 2] %}\n{% endfor %}\nwhere n = )",
        &["Expected", "\n  --> models/longer.sql (line "],
    ),
];

/// Every failing model's message, by name.
fn check(messages: Vec<(String, String)>, way: &str) {
    for (name, _, parts) in FAILING {
        let said: Vec<_> = messages.iter().filter(|(id, _)| id.ends_with(&format!(".{name}"))).collect();
        let [(_, said)] = &said[..] else { panic!("{way}: {name}: {messages:?}") };
        for part in parts {
            assert!(said.contains(part), "{way}: {said}");
        }
        assert_eq!(said.matches("models/").count(), 1, "{way}: {said}");
        assert!(!said.contains("Smith"), "{way}: {said}");
    }
}

fn texts(of: &Value) -> (String, String) {
    let text = |name: &str| of[name].as_str().unwrap_or_default().to_owned();
    (text("unique_id"), text("message"))
}

#[test]
fn e01_a_failed_node_says_why_and_where_on_every_way() {
    let world = World::empty();
    world.write("dbt_project.yml", "name: ward\nversion: '1.0'\n");
    world.write(
        "models/numbers.sql",
        "{{ config(materialized='table') }}\nselect * from (values (1, 'Smith'), (0, 'Smith-1990')) as v(n, s)",
    );
    for (name, sql, _) in FAILING {
        let how = if name == "grown" { "incremental" } else { "table" };
        world.write(&format!("models/{name}.sql"), format!("{{{{ config(materialized='{how}') }}}}\n{sql}"));
    }
    world.ok(&["build", "--select", "numbers"]);
    let shown = world.fails(1, &["build"]);
    for (_, _, parts) in FAILING {
        for line in parts.iter().flat_map(|part| part.lines()).filter(|line| !line.is_empty()) {
            assert!(shown.contains(line), "{line}: {shown}");
        }
    }
    let results = std::fs::read_to_string(world.path().join("target/run_results.json")).unwrap();
    let results: Value = serde_json::from_str(&results).unwrap();
    check(results["results"].as_array().unwrap().iter().map(texts).collect(), "run_results.json");
    let rows = world.sql("select unique_id, message from system.run_nodes where status = 'error'");
    check(rows.into_iter().map(|row| (row["unique_id"].clone(), row["message"].clone())).collect(), "system.run_nodes");
    let told = world.run(&["build", "--log-format", "json"]);
    let told = String::from_utf8(told.stdout).unwrap();
    let told = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let nodes = told.filter(|event| event["event"] == "node_finished").map(|event| texts(&event["result"]));
    check(nodes.collect(), "events");
    assert!(!shown.contains("Smith"), "{shown}");
}
