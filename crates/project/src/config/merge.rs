//! How layers of configuration combine: folder configs, properties and in-file `config()`, weakest first.
//!
//! Tags, hooks and packages append; meta, quoting, column types, docs and contract merge key by key; grants with a
//! leading `+` append per key; everything else overrides.

use serde_json::{Map, Value as Json};

const APPEND: [&str; 4] = ["tags", "pre_hook", "post_hook", "packages"];
const UPDATE: [&str; 6] = ["meta", "quoting", "column_types", "docs", "contract", "persist_docs"];

/// The one spelling of a config key.
pub(crate) fn canonical(key: &str) -> &str {
    match key {
        "pre-hook" => "pre_hook",
        "post-hook" => "post_hook",
        other => other,
    }
}

/// Lays `layer` over `base`.
pub(crate) fn merge(base: &mut Map<String, Json>, layer: &Map<String, Json>) {
    for (key, value) in layer {
        let key = canonical(key.trim());
        if APPEND.contains(&key) {
            append(base.entry(key).or_insert_with(|| Json::Array(Vec::new())), value, key == "tags");
        } else if UPDATE.contains(&key) && value.is_object() {
            update(base.entry(key).or_insert_with(|| Json::Object(Map::new())), value);
        } else if key == "grants" {
            grants(base, value);
        } else {
            base.insert(key.to_owned(), value.clone());
        }
    }
}

fn append(base: &mut Json, value: &Json, unique: bool) {
    if !base.is_array() {
        *base = match base.take() {
            Json::Null => Json::Array(Vec::new()),
            one => Json::Array(vec![one]),
        };
    }
    let Json::Array(items) = base else { return };
    let more: &[Json] = match value {
        Json::Null => &[],
        Json::Array(more) => more,
        one => std::slice::from_ref(one),
    };
    for item in more {
        if !unique || !items.contains(item) {
            items.push(item.clone());
        }
    }
}

fn update(base: &mut Json, value: &Json) {
    match (base.as_object_mut(), value.as_object()) {
        (Some(base), Some(value)) => base.extend(value.iter().map(|(k, v)| (k.clone(), v.clone()))),
        _ => *base = value.clone(),
    }
}

fn grants(base: &mut Map<String, Json>, value: &Json) {
    let entry = base.entry("grants").or_insert_with(|| Json::Object(Map::new()));
    let (Some(entry), Some(value)) = (entry.as_object_mut(), value.as_object()) else { return };
    for (privilege, grantees) in value {
        match privilege.strip_prefix('+') {
            Some(name) => append(entry.entry(name).or_insert_with(|| Json::Array(Vec::new())), grantees, true),
            None => {
                entry.insert(privilege.clone(), grantees.clone());
            }
        }
    }
}

/// The layers a folder tree (`models:` of dbt_project.yml) gives a node, weakest first: keys with `+`, and keys whose
/// value is no mapping, on the way down `fqn`.
pub(crate) fn folder_layers(tree: &Map<String, Json>, fqn: &[String]) -> Vec<Map<String, Json>> {
    let mut layers = Vec::new();
    let mut level = tree;
    let mut path = fqn.iter();
    loop {
        let layer: Map<String, Json> = level
            .iter()
            .filter_map(|(key, value)| match key.strip_prefix('+') {
                Some(key) => Some((key.trim().to_owned(), value.clone())),
                None if !value.is_object() => Some((key.clone(), value.clone())),
                None => None,
            })
            .collect();
        if !layer.is_empty() {
            layers.push(layer);
        }
        match path.next().and_then(|part| level.get(part)).and_then(Json::as_object) {
            Some(next) => level = next,
            None => return layers,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Json) -> Map<String, Json> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn tags_and_hooks_append_meta_merges_the_rest_overrides() {
        let mut base = Map::new();
        merge(&mut base, &object(json!({"tags": "a", "meta": {"x": 1, "y": 1}, "pre-hook": "one", "schema": "s"})));
        merge(&mut base, &object(json!({"tags": ["b", "a"], "meta": {"y": 2}, "pre_hook": ["two"], "schema": "t"})));
        assert_eq!(
            Json::Object(base),
            json!({"tags": ["a", "b"], "meta": {"x": 1, "y": 2}, "pre_hook": ["one", "two"], "schema": "t"})
        );
    }

    #[test]
    fn deeper_folders_come_later() {
        let tree =
            object(json!({"+materialized": "view", "shop": {"staging": {"+materialized": "table", "persist": true}}}));
        let fqn: Vec<String> = ["shop", "staging", "stg_x"].map(str::to_owned).into();
        let layers = folder_layers(&tree, &fqn);
        assert_eq!(
            layers,
            vec![object(json!({"materialized": "view"})), object(json!({"materialized": "table", "persist": true}))]
        );
    }
}
