//! Reads typed values out of a merged config and collects what is wrong with them.

use serde_json::{Map, Value as Json};

use super::{ConfigProblem, Hook};
use crate::yaml::as_bool;

/// Keys dbt and its common adapters know; a key close to one of them is probably a slip.
const KNOWN: [&str; 73] = [
    "access",
    "alias",
    "batch_size",
    "begin",
    "check_cols",
    "cluster_by",
    "column_types",
    "concurrent_batches",
    "contract",
    "database",
    "dbt_valid_to_current",
    "delimiter",
    "docs",
    "enabled",
    "error_after",
    "error_if",
    "event_time",
    "external",
    "fail_calc",
    "file_format",
    "filter",
    "format",
    "freshness",
    "full_refresh",
    "grants",
    "group",
    "hard_deletes",
    "incremental_predicates",
    "incremental_strategy",
    "index",
    "indexes",
    "invalidate_hard_deletes",
    "limit",
    "loaded_at_field",
    "loaded_at_query",
    "location",
    "location_root",
    "lookback",
    "materialized",
    "merge_exclude_columns",
    "merge_update_columns",
    "meta",
    "on_configuration_change",
    "on_schema_change",
    "options",
    "packages",
    "partition_by",
    "partitions",
    "persist_docs",
    "post_hook",
    "pre_hook",
    "predicates",
    "quote_columns",
    "quoting",
    "schema",
    "severity",
    "snapshot_meta_column_names",
    "sql_header",
    "static_analysis",
    "store_failures",
    "store_failures_as",
    "strategy",
    "tags",
    "target_database",
    "target_schema",
    "tblproperties",
    "transient",
    "unique_key",
    "unlogged",
    "updated_at",
    "warn_after",
    "warn_if",
    "where",
];

pub(super) struct Reader<'a> {
    map: &'a Map<String, Json>,
    problems: Vec<ConfigProblem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(map: &'a Map<String, Json>) -> Self {
        Self { map, problems: Vec::new() }
    }

    pub(super) fn finish(self) -> Vec<ConfigProblem> {
        self.problems
    }

    pub(super) fn value(&self, key: &str) -> Option<&'a Json> {
        self.map.get(key).filter(|v| !v.is_null())
    }

    pub(super) fn problem(&mut self, key: &str, message: String, help: Option<String>) {
        self.problems.push(ConfigProblem { key: key.to_owned(), message, help, is_error: true });
    }

    fn wrong(&mut self, key: &str, wanted: &str) {
        self.problem(key, format!("config `{key}` must be {wanted}"), None);
    }

    pub(super) fn bool(&mut self, key: &str) -> Option<bool> {
        let value = self.value(key)?;
        let read = as_bool(value);
        if read.is_none() {
            self.wrong(key, "true or false");
        }
        read
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.value(key)? {
            Json::String(text) => Some(text.clone()),
            value @ (Json::Number(_) | Json::Bool(_)) => Some(value.to_string()),
            _ => {
                self.wrong(key, "a text");
                None
            }
        }
    }

    pub(super) fn integer(&mut self, key: &str) -> Option<u64> {
        let value = self.value(key)?;
        let read = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
        if read.is_none() {
            self.wrong(key, "a whole number");
        }
        read
    }

    pub(super) fn one_of(&mut self, key: &str, allowed: &[&str]) -> Option<String> {
        let text = self.text(key)?;
        if allowed.contains(&text.as_str()) {
            return Some(text);
        }
        let help =
            wardlake_core::did_you_mean(&text, allowed.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        self.problem(key, format!("config `{key}` must be one of {}, not `{text}`", allowed.join(", ")), help);
        None
    }

    pub(super) fn character(&mut self, key: &str) -> Option<char> {
        let text = self.text(key)?;
        let text = if text == "\\t" { "\t".to_owned() } else { text };
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) => Some(c),
            _ => {
                self.wrong(key, "one character");
                None
            }
        }
    }

    pub(super) fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        match self.value(key)? {
            Json::Array(items) => Some(items.iter().filter_map(scalar).collect()),
            value => match scalar(value) {
                Some(text) => Some(vec![text]),
                None => {
                    self.wrong(key, "a text or a list of texts");
                    None
                }
            },
        }
    }

    /// Column names: one, a list, or BigQuery's mapping with a `field`.
    pub(super) fn columns(&mut self, key: &str) -> Vec<String> {
        match self.value(key) {
            Some(Json::Object(map)) => map.get("field").and_then(scalar).into_iter().collect(),
            _ => self.texts(key).unwrap_or_default(),
        }
    }

    pub(super) fn map(&mut self, key: &str) -> Map<String, Json> {
        match self.value(key) {
            Some(Json::Object(map)) => map.clone(),
            None => Map::new(),
            Some(_) => {
                self.wrong(key, "a mapping");
                Map::new()
            }
        }
    }

    pub(super) fn pairs(&mut self, key: &str) -> Vec<(String, String)> {
        self.map(key).iter().filter_map(|(k, v)| Some((k.clone(), scalar(v)?))).collect()
    }

    /// Hooks are texts or mappings with `sql`.
    pub(super) fn hooks(&mut self, key: &str) -> Vec<Hook> {
        let items: &[Json] = match self.value(key) {
            None => &[],
            Some(Json::Array(items)) => items,
            Some(one) => std::slice::from_ref(one),
        };
        let mut hooks = Vec::with_capacity(items.len());
        for item in items {
            let sql = item.as_str().or_else(|| item.get("sql").and_then(Json::as_str));
            match sql {
                Some(sql) if sql.trim().is_empty() => {}
                Some(sql) => hooks.push(Hook {
                    sql: sql.to_owned(),
                    transaction: item.get("transaction").and_then(as_bool).unwrap_or(true),
                }),
                None if item.is_null() => {}
                None => self.wrong(key, "SQL, or a list of SQL"),
            }
        }
        hooks
    }

    /// Any key is allowed (adapters have their own), yet one that is a letter away from a known one is worth a word.
    pub(super) fn unknown_keys(&mut self) {
        for key in self.map.keys() {
            if KNOWN.contains(&key.as_str()) || key.len() < 4 {
                continue;
            }
            let near = KNOWN.iter().find(|known| strsim::osa_distance(key, known) <= if key.len() < 7 { 1 } else { 2 });
            if let Some(near) = near {
                self.problems.push(ConfigProblem {
                    key: key.clone(),
                    message: format!("`{key}` is not a known config"),
                    help: Some(format!("did you mean `{near}`?")),
                    is_error: false,
                });
            }
        }
    }
}

fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(n) => Some(n.to_string()),
        Json::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}
