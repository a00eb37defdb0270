//! Nodes as templates and artifacts see them: dbt's field names.

use serde_json::{Map, Value as Json, json};

use crate::{ColumnInfo, Node, ResourceType, target::DATABASE};

/// The part of a node that templates ask for (`model`, `node`).
pub(crate) fn brief(node: &Node) -> Map<String, Json> {
    let mut map = Map::new();
    let mut put = |key: &str, value: Json| {
        map.insert(key.to_owned(), value);
    };
    put("database", database(node));
    put("schema", json!(node.schema));
    put("name", json!(node.name));
    put("resource_type", json!(node.resource_type.as_str()));
    put("package_name", json!(node.package));
    put("path", json!(node.path));
    put("original_file_path", json!(node.original_file_path));
    put("unique_id", json!(node.unique_id));
    put("fqn", json!(node.fqn));
    put("alias", json!(node.alias));
    put("config", config(node));
    put("tags", json!(node.tags));
    put("description", json!(node.description));
    put("columns", columns(&node.columns));
    put("meta", Json::Object(node.meta.clone()));
    put("raw_code", json!(node.raw_code));
    put("language", json!("sql"));
    put("refs", refs(node));
    put("sources", sources(node));
    put("depends_on", json!({"macros": node.depends_on.macros, "nodes": node.depends_on.nodes}));
    if let Some(test) = &node.test {
        put("test_metadata", json!({"name": test.name, "kwargs": test.kwargs, "namespace": test.namespace}));
        put("column_name", json!(test.column_name));
        put("attached_node", json!(test.attached_node));
        put("file_key_name", json!(test.file_key_name));
    }
    map
}

pub(crate) fn database(node: &Node) -> Json {
    json!(node.config.database.as_deref().unwrap_or(DATABASE))
}

pub(crate) fn refs(node: &Node) -> Json {
    node.refs.iter().map(|r| json!({"name": r.name, "package": r.package, "version": r.version})).collect()
}

pub(crate) fn sources(node: &Node) -> Json {
    node.sources.iter().map(|s| json!([s.source, s.table])).collect()
}

pub(crate) fn columns(columns: &[ColumnInfo]) -> Json {
    let mut map = Map::new();
    for column in columns {
        map.insert(
            column.name.clone(),
            json!({
                "name": column.name, "description": column.description, "meta": column.meta,
                "data_type": column.data_type, "constraints": column.constraints, "quote": column.quote,
                "config": {"meta": column.meta, "tags": column.tags}, "tags": column.tags, "granularity": null,
                "doc_blocks": [],
            }),
        );
    }
    Json::Object(map)
}

/// The config with dbt's defaults filled in.
pub(crate) fn config(node: &Node) -> Json {
    let own = &node.config;
    let hooks = |hooks: &[crate::Hook]| -> Json {
        hooks.iter().map(|h| json!({"sql": h.sql, "transaction": h.transaction, "index": null})).collect()
    };
    let mut map = match node.resource_type {
        ResourceType::Test => object(json!({
            "enabled": true, "alias": null, "schema": "dbt_test__audit", "database": null, "tags": [], "meta": {},
            "group": null, "materialized": "test", "severity": "ERROR", "store_failures": null,
            "store_failures_as": null, "where": null, "limit": null, "fail_calc": "count(*)", "warn_if": "!= 0",
            "error_if": "!= 0",
        })),
        _ => object(json!({
            "enabled": true, "alias": null, "schema": null, "database": null, "tags": [], "meta": {}, "group": null,
            "materialized": own.materialized, "incremental_strategy": null, "batch_size": null, "lookback": 1,
            "begin": null, "persist_docs": {}, "post-hook": [], "pre-hook": [], "quoting": {}, "column_types": {},
            "full_refresh": null, "unique_key": null, "on_schema_change": "ignore",
            "on_configuration_change": "apply", "grants": {}, "packages": [],
            "docs": {"show": true, "node_color": null}, "contract": {"enforced": false, "alias_types": true},
            "event_time": null, "concurrent_batches": null,
        })),
    };
    match node.resource_type {
        ResourceType::Seed => map.extend(object(json!({"delimiter": ",", "quote_columns": null}))),
        ResourceType::Snapshot => map.extend(object(json!({
            "strategy": null, "target_schema": null, "target_database": null, "updated_at": null, "check_cols": null,
            "snapshot_meta_column_names": {"dbt_valid_to": null, "dbt_valid_from": null, "dbt_scd_id": null,
                "dbt_updated_at": null, "dbt_is_deleted": null},
            "dbt_valid_to_current": null,
        }))),
        ResourceType::Model => map.extend(object(json!({"access": "protected", "freshness": null}))),
        _ => {}
    }
    for (key, value) in &own.raw {
        match key.as_str() {
            "pre_hook" | "post_hook" => {}
            "snapshot_meta_column_names" | "docs" | "contract" => {
                if let (Some(Json::Object(base)), Json::Object(over)) = (map.get_mut(key), value) {
                    base.extend(over.iter().map(|(k, v)| (k.clone(), v.clone())));
                }
            }
            _ => {
                map.insert(key.clone(), value.clone());
            }
        }
    }
    if node.resource_type != ResourceType::Test {
        map.insert("pre-hook".to_owned(), hooks(&own.pre_hooks));
        map.insert("post-hook".to_owned(), hooks(&own.post_hooks));
    }
    map.insert("enabled".to_owned(), Json::Bool(own.enabled));
    map.insert("tags".to_owned(), json!(own.tags));
    map.insert("meta".to_owned(), Json::Object(own.meta.clone()));
    Json::Object(map)
}

fn object(value: Json) -> Map<String, Json> {
    match value {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}
