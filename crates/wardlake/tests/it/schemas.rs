//! The published JSON Schemas describe what the shipped projects write and what the reader takes.

use serde_json::Value;

use crate::world::{World, copy_folder, repository};

fn schema(name: &str) -> jsonschema::Validator {
    let text = std::fs::read_to_string(repository().join("schemas").join(name)).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

#[test]
fn every_shipped_source_fits_the_schema() {
    let validator = schema("source-table.schema.json");
    let examples = std::fs::read_dir(repository().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let mut tables = 0;
    for project in examples.filter(|path| path.is_dir()).chain([repository().join("hospital")]) {
        let world = World::empty();
        copy_folder(&project, world.path());
        world.ok(&["parse"]);
        let manifest = std::fs::read(world.path().join("target/manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        for (id, source) in manifest["sources"].as_object().unwrap() {
            // The manifest keeps the table's block as it was merged over its source's.
            let mut block = source["source_meta"]["wardlake"].as_object().cloned().unwrap_or_default();
            block.extend(source["meta"]["wardlake"].as_object().cloned().unwrap_or_default());
            if block.is_empty() {
                // Not loaded by Wardlake: one of the lake's own tables.
                continue;
            }
            let block = Value::Object(block);
            let problems: Vec<String> = validator.iter_errors(&block).map(|error| error.to_string()).collect();
            assert!(problems.is_empty(), "{id}: {problems:?}");
            tables += 1;
        }
    }
    assert!(tables > 50, "{tables}");
}

#[test]
fn every_shipped_declaration_fits_the_schema() {
    let validator = schema("model.schema.json");
    let mut models = 0;
    for project in ["examples/hms", "examples/patient-flow", "examples/registry", "hospital"] {
        let world = World::empty();
        copy_folder(&repository().join(project), world.path());
        world.ok(&["parse"]);
        let manifest = std::fs::read(world.path().join("target/manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        for (id, node) in manifest["nodes"].as_object().unwrap() {
            let block = &node["config"]["meta"]["wardlake"];
            if block.is_null() {
                continue;
            }
            let problems: Vec<String> = validator.iter_errors(block).map(|error| error.to_string()).collect();
            assert!(problems.is_empty(), "{id}: {problems:?}");
            models += 1;
        }
    }
    assert!(models > 20, "{models}");
}

#[test]
fn the_shipped_alerts_fit_the_schema() {
    let validator = schema("alerts.schema.json");
    let text = std::fs::read_to_string(repository().join("hospital/alerts.yml")).unwrap();
    let alerts = Value::Object(wardlake_project::parse_vars(&text).unwrap());
    let problems: Vec<String> = validator.iter_errors(&alerts).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?}");
    assert!(alerts["alerts"].as_array().unwrap().len() >= 3);
    let mut both = alerts;
    both["alerts"][0]["sql"] = "select 1".into();
    assert!(!validator.is_valid(&both), "an alert reads a model or a query, not both");
}

#[test]
fn the_schema_and_the_reader_know_the_same_settings() {
    let text = std::fs::read_to_string(repository().join("schemas/source-table.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let world = World::empty();
    world.write("dbt_project.yml", "name: known\nversion: '1.0'\nmodel-paths: [models, sources]\n");
    for name in schema["properties"].as_object().unwrap().keys() {
        // A list of lists is no value of any setting: a known one is named as wrong, not as unknown.
        let path = if name == "path" { String::new() } else { "              path: x.csv\n".to_owned() };
        world.write(
            "sources/feed.yml",
            format!("version: 2\nsources:\n  - name: feed\n    tables:\n      - name: beds\n        config:\n          meta:\n            wardlake:\n{path}              {name}: [[]]\n"),
        );
        let printed = world.fails(2, &["ingest"]);
        assert!(printed.contains(&format!("`{name}")) && !printed.contains("not a setting"), "{name}:\n{printed}");
    }
}
