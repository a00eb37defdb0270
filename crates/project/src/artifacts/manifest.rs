//! manifest.json, v12.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use super::Metadata;
use crate::{
    Compiled, Exposure, Freshness, FreshnessLimit, Node, Project, Relation, ResourceType, Source, UniqueId, node_json,
    target::DATABASE,
};

type Items = BTreeMap<UniqueId, Json>;
type Edges = BTreeMap<UniqueId, Vec<UniqueId>>;

/// The whole file. Items are JSON objects in dbt's field names.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    /// Metadata, with the project's name.
    pub metadata: Map<String, Json>,
    /// Models, seeds, snapshots, tests, analyses, operations.
    pub nodes: Items,
    /// Tables of sources.
    pub sources: Items,
    /// Macros of all packages.
    pub macros: Items,
    /// Docs blocks.
    pub docs: Items,
    /// Exposures.
    pub exposures: Items,
    /// Always empty.
    pub metrics: Items,
    /// Always empty.
    pub groups: Items,
    /// Named selections.
    pub selectors: BTreeMap<String, Json>,
    /// What is switched off.
    pub disabled: BTreeMap<UniqueId, Vec<Json>>,
    /// Child → parents.
    pub parent_map: Edges,
    /// Parent → children.
    pub child_map: Edges,
    /// Always empty.
    pub group_map: Edges,
    /// Always empty.
    pub saved_queries: Items,
    /// Always empty.
    pub semantic_models: Items,
    /// Always empty.
    pub unit_tests: Items,
}

impl Manifest {
    /// The manifest of a project; `compiled` adds the SQL of what has been compiled.
    pub fn new(project: &Project, compiled: &HashMap<UniqueId, Compiled>) -> Self {
        let created_at = created_at(project);
        let ids: Vec<&UniqueId> = project.graph().topological_order().iter().collect();
        let sorted = |ids: &[UniqueId]| {
            let mut ids = ids.to_vec();
            ids.sort();
            ids
        };
        let mut disabled: BTreeMap<UniqueId, Vec<Json>> = BTreeMap::new();
        for node in project.disabled() {
            disabled.entry(node.unique_id.clone()).or_default().push(node_item(node, None, created_at));
        }
        Self {
            metadata: metadata(project),
            nodes: project
                .nodes()
                .values()
                .map(|n| (n.unique_id.clone(), node_item(n, compiled.get(&n.unique_id), created_at)))
                .collect(),
            sources: project.sources().values().map(|s| (s.unique_id.clone(), source_item(s, created_at))).collect(),
            macros: macros(project, created_at),
            docs: project
                .docs()
                .values()
                .map(|d| {
                    let item = json!({
                        "name": d.name, "resource_type": "doc", "package_name": d.package, "path": d.path,
                        "original_file_path": d.original_file_path, "unique_id": d.unique_id,
                        "block_contents": d.contents,
                    });
                    (d.unique_id.clone(), item)
                })
                .collect(),
            exposures: project
                .exposures()
                .values()
                .map(|e| (e.unique_id.clone(), exposure_item(e, created_at)))
                .collect(),
            metrics: Items::new(),
            groups: Items::new(),
            selectors: project.selectors().definitions().clone(),
            disabled,
            parent_map: ids.iter().map(|id| ((*id).clone(), sorted(project.graph().parents(id)))).collect(),
            child_map: ids.iter().map(|id| ((*id).clone(), sorted(project.graph().children(id)))).collect(),
            group_map: Edges::new(),
            saved_queries: Items::new(),
            semantic_models: Items::new(),
            unit_tests: Items::new(),
        }
    }
}

fn created_at(project: &Project) -> f64 {
    project.options().run_started_at.timestamp_micros() as f64 / 1e6
}

fn metadata(project: &Project) -> Map<String, Json> {
    let options = project.options();
    let metadata = Metadata::new("manifest/v12", &options.invocation_id, options.run_started_at);
    let mut map = match serde_json::to_value(metadata) {
        Ok(Json::Object(map)) => map,
        _ => Map::new(),
    };
    map.insert("project_name".to_owned(), json!(project.root().name));
    map.insert("adapter_type".to_owned(), json!("wardlake"));
    map.insert("send_anonymous_usage_stats".to_owned(), json!(false));
    map.insert("project_id".to_owned(), Json::Null);
    map.insert("user_id".to_owned(), Json::Null);
    map.insert("quoting".to_owned(), json!({"database": true, "schema": true, "identifier": true, "column": null}));
    map
}

fn relation_name(relation: &Relation) -> Option<String> {
    let quote = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    relation.schema.as_ref().map(|schema| format!("{}.{}", quote(schema), quote(&relation.identifier)))
}

fn node_item(node: &Node, compiled: Option<&Compiled>, created_at: f64) -> Json {
    let mut item = node_json::brief(node);
    let mut put = |key: &str, value: Json| {
        item.insert(key.to_owned(), value);
    };
    let has_table = node.relation.schema.is_some()
        && matches!(node.resource_type, ResourceType::Model | ResourceType::Seed | ResourceType::Snapshot);
    let stores = node.config.test.store_failures == Some(true) || node.config.test.store_failures_as.is_some();
    let relation = if has_table || (node.resource_type == ResourceType::Test && stores) {
        relation_name(&node.relation)
    } else {
        None
    };
    put("relation_name", json!(relation));
    put("checksum", json!({"name": "sha256", "checksum": node.checksum}));
    put("group", Json::Null);
    put("docs", json!({"show": true, "node_color": null}));
    put("patch_path", json!(node.patch_path));
    put("build_path", Json::Null);
    put("unrendered_config", Json::Object(node.config.raw.clone()));
    put("created_at", json!(created_at));
    put("doc_blocks", json!([]));
    match node.resource_type {
        ResourceType::Seed => {
            // A seed has no query: dbt's shape leaves these out.
            for key in ["language", "refs", "sources"] {
                item.remove(key);
            }
            let root = node.file.to_string_lossy().into_owned();
            let root = root.strip_suffix(&node.original_file_path).unwrap_or_default().trim_end_matches('/').to_owned();
            item.insert("root_path".to_owned(), json!(root));
            item.insert("depends_on".to_owned(), json!({"macros": node.depends_on.macros}));
            return Json::Object(item);
        }
        ResourceType::Model => {
            put("access", json!("protected"));
            put("constraints", json!([]));
            for key in ["version", "latest_version", "deprecation_date", "time_spine"] {
                put(key, Json::Null);
            }
            put("primary_key", json!([]));
        }
        ResourceType::Operation => put("index", json!(node.index)),
        _ => {}
    }
    put("metrics", json!([]));
    put("contract", json!({"enforced": false, "alias_types": true, "checksum": null}));
    put("compiled_path", Json::Null);
    if let Some(compiled) = compiled {
        let ctes: Vec<Json> = compiled.injected_ctes.iter().map(|c| json!({"id": c.id, "sql": c.sql})).collect();
        put("compiled", json!(true));
        put("compiled_code", json!(compiled.sql));
        put("extra_ctes_injected", json!(true));
        put("extra_ctes", json!(ctes));
    }
    Json::Object(item)
}

fn freshness(freshness: Option<&Freshness>) -> Json {
    let limit = |limit: Option<&FreshnessLimit>| match limit {
        Some(limit) => json!({"count": limit.count, "period": limit.period}),
        None => json!({"count": null, "period": null}),
    };
    match freshness {
        Some(f) => json!({
            "warn_after": limit(f.warn_after.as_ref()), "error_after": limit(f.error_after.as_ref()), "filter": f.filter,
        }),
        None => json!({"warn_after": limit(None), "error_after": limit(None), "filter": null}),
    }
}

fn source_item(source: &Source, created_at: f64) -> Json {
    let freshness = freshness(source.freshness.as_ref());
    let mut config = source.config.clone();
    config.insert("enabled".to_owned(), json!(true));
    config.entry("event_time").or_insert(Json::Null);
    config.insert("freshness".to_owned(), freshness.clone());
    config.insert("loaded_at_field".to_owned(), json!(source.loaded_at_field));
    config.entry("loaded_at_query").or_insert(Json::Null);
    config.insert("meta".to_owned(), json!(source.meta));
    config.insert("tags".to_owned(), json!(source.tags));
    json!({
        "database": source.database.as_deref().unwrap_or(DATABASE), "schema": source.relation.schema,
        "name": source.name, "resource_type": "source", "package_name": source.package, "path": source.path,
        "original_file_path": source.original_file_path, "unique_id": source.unique_id, "fqn": source.fqn,
        "source_name": source.source_name, "source_description": source.source_description, "loader": source.loader,
        "identifier": source.identifier,
        "quoting": {"database": null, "schema": null, "identifier": null, "column": null},
        "loaded_at_field": source.loaded_at_field, "loaded_at_query": null, "freshness": freshness, "external": null,
        "description": source.description, "columns": node_json::columns(&source.columns), "meta": source.meta,
        "source_meta": source.source_meta, "tags": source.tags, "config": config, "patch_path": null,
        "unrendered_config": {}, "relation_name": relation_name(&source.relation), "created_at": created_at,
        "unrendered_database": null, "unrendered_schema": null, "doc_blocks": [],
    })
}

fn exposure_item(exposure: &Exposure, created_at: f64) -> Json {
    let refs: Vec<Json> =
        exposure.refs.iter().map(|r| json!({"name": r.name, "package": r.package, "version": r.version})).collect();
    let sources: Vec<Json> = exposure.sources.iter().map(|s| json!([s.source, s.table])).collect();
    json!({
        "name": exposure.name, "resource_type": "exposure", "package_name": exposure.package, "path": exposure.path,
        "original_file_path": exposure.original_file_path, "unique_id": exposure.unique_id, "fqn": exposure.fqn,
        "type": exposure.exposure_type,
        "owner": {"email": exposure.owner.get("email"), "name": exposure.owner.get("name"), "config": {"meta": {}}},
        "description": exposure.description, "label": exposure.label, "maturity": exposure.maturity,
        "meta": exposure.meta, "tags": exposure.tags,
        "config": {"enabled": true, "tags": exposure.tags, "meta": exposure.meta}, "unrendered_config": {},
        "url": exposure.url,
        "depends_on": {"macros": exposure.depends_on.macros, "nodes": exposure.depends_on.nodes},
        "refs": refs, "sources": sources, "metrics": [], "created_at": created_at,
    })
}

fn macros(project: &Project, created_at: f64) -> Items {
    let item = |m: &crate::jinja::MacroDef| {
        let patch = project.macro_patch(&m.unique_id);
        let path = crate::files::slashes(&m.path);
        let arguments: Vec<Json> = match patch.filter(|p| !p.arguments.is_empty()) {
            Some(patch) => patch
                .arguments
                .iter()
                .map(|a| json!({"name": a.get("name"), "type": a.get("type"), "description": a.get("description").and_then(Json::as_str).unwrap_or_default()}))
                .collect(),
            None => m.arguments.iter().map(|name| json!({"name": name, "type": null, "description": ""})).collect(),
        };
        json!({
            "name": m.name, "resource_type": "macro", "package_name": m.package, "path": path,
            "original_file_path": path, "unique_id": m.unique_id, "macro_sql": m.code, "depends_on": {"macros": []},
            "description": patch.map(|p| p.description.as_str()).unwrap_or_default(),
            "meta": patch.map(|p| p.meta.clone()).unwrap_or_default(), "docs": {"show": true, "node_color": null},
            "patch_path": patch.map(|p| p.patch_path.as_str()), "arguments": arguments, "created_at": created_at,
            "supported_languages": null,
        })
    };
    project.macros().map(|m| (m.unique_id.clone(), item(m))).collect()
}
