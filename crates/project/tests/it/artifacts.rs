use std::collections::HashMap;

use serde_json::{Map, json};
use wardlake_project::{Manifest, RunResult, RunResults, RunStatus};

use crate::support::Folder;

#[test]
fn the_manifest_holds_the_published_fields_and_both_maps() {
    let project = Folder::new(&[
        ("models/a.sql", "select * from {{ source('crm', 'a') }}"),
        ("models/b.sql", "{{ config(enabled=false) }} select 1"),
        ("models/p.yml", "sources: [{name: crm, tables: [{name: a}]}]\nmodels: [{name: a, columns: [{name: x, tests: [not_null]}]}]\n"),
        ("seeds/s.csv", "x\n1\n"),
    ])
    .load();
    let manifest = serde_json::to_value(Manifest::new(&project, &HashMap::new())).unwrap();
    for key in [
        "metadata",
        "nodes",
        "sources",
        "macros",
        "docs",
        "exposures",
        "metrics",
        "groups",
        "selectors",
        "disabled",
        "parent_map",
        "child_map",
        "group_map",
        "saved_queries",
        "semantic_models",
        "unit_tests",
    ] {
        assert!(manifest.get(key).is_some(), "{key}");
    }
    assert_eq!(manifest["metadata"]["dbt_schema_version"], "https://schemas.getdbt.com/dbt/manifest/v12.json");
    assert_eq!(manifest["parent_map"]["model.shop.a"], json!(["source.shop.crm.a"]));
    assert_eq!(manifest["child_map"]["source.shop.crm.a"], json!(["model.shop.a"]));
    assert_eq!(manifest["disabled"]["model.shop.b"][0]["name"], "b");
    assert_eq!(manifest["nodes"]["model.shop.a"]["relation_name"], "\"main\".\"a\"");
    assert_eq!(manifest["nodes"]["model.shop.a"]["config"]["materialized"], "view");
    assert!(manifest["nodes"]["seed.shop.s"].get("refs").is_none());
}

/// The ids dbt 1.10 writes for the same files: run history must carry over.
#[test]
fn generic_tests_have_dbts_ids() {
    let project = Folder::new(&[
        ("models/orders.sql", "select 1"),
        ("models/p.yml", "models:\n  - name: orders\n    columns:\n      - name: id\n        tests: [not_null, unique]\n      - name: status\n        tests:\n          - accepted_values: {values: [a, b]}\n          - relationships: {to: ref('orders'), field: id}\n"),
    ])
    .load();
    let ids: Vec<&str> = project.nodes().keys().map(String::as_str).filter(|id| id.starts_with("test.")).collect();
    assert_eq!(ids, IDS);
}

const IDS: [&str; 4] = [
    "test.shop.accepted_values_orders_status__a__b.b355593ca6",
    "test.shop.not_null_orders_id.84ef11d8fe",
    "test.shop.relationships_orders_status__id__ref_orders_.3dceccacf6",
    "test.shop.unique_orders_id.1360ecc70e",
];

#[test]
fn run_results_are_shaped_like_dbts() {
    let folder = Folder::new(&[]);
    let results = vec![
        RunResult { failures: Some(2), ..RunResult::new("test.shop.x", RunStatus::Fail) },
        RunResult::new("model.shop.a", RunStatus::NoOp),
    ];
    let file = serde_json::to_value(RunResults::new(&folder.options(), results, 1.5, Map::new())).unwrap();
    assert_eq!(file["metadata"]["dbt_schema_version"], "https://schemas.getdbt.com/dbt/run-results/v6.json");
    assert_eq!((&file["results"][0]["status"], &file["results"][1]["status"]), (&json!("fail"), &json!("no-op")));
    for key in [
        "status",
        "timing",
        "thread_id",
        "execution_time",
        "adapter_response",
        "message",
        "failures",
        "unique_id",
        "compiled",
        "compiled_code",
        "relation_name",
    ] {
        assert!(file["results"][0].get(key).is_some(), "{key}");
    }
}
