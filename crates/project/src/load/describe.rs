//! What properties say about a node: its description, columns, and the layer of configuration.

use std::collections::HashSet;

use serde_json::{Map, Value as Json};
use wardlake_core::Diagnostic;

use super::Loader;
use crate::{
    ColumnInfo,
    config::merge,
    docs,
    properties::Patch,
    templates::has_jinja,
    yaml::{Yaml, as_bool},
};

const HOOK_KEYS: [&str; 4] = ["pre-hook", "post-hook", "pre_hook", "post_hook"];

impl Loader {
    /// The `description` of an entry or a column, docs and Jinja resolved.
    pub(super) fn description(&mut self, package: &str, patch: &Patch, body: &Yaml) -> String {
        let Some(value) = body.get("description") else { return String::new() };
        let Some(text) = value.scalar_text() else { return String::new() };
        let resolved = match docs::resolve(&text, package, self.root(), &self.docs) {
            Ok(resolved) => resolved,
            Err(name) => {
                let names: Vec<&str> = self.docs.values().map(|d| d.name.as_str()).collect();
                let problem = patch.error("WL-P023", format!("there is no docs block `{name}`"), value.at);
                let help = match wardlake_core::did_you_mean(&name, names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("add `{{% docs {name} %}} … {{% enddocs %}}` to a .md file"),
                };
                self.problems.push(problem.help(help));
                return String::new();
            }
        };
        if resolved == text && has_jinja(&text) && !text.contains("doc(") {
            match self.templates.value(package, &patch.shown, value) {
                Ok(Json::String(rendered)) => return rendered,
                Ok(other) => return other.to_string(),
                Err(problem) => self.problems.push(problem),
            }
        }
        resolved
    }

    /// The columns an entry describes.
    pub(super) fn columns(&mut self, package: &str, patch: &Patch, body: &Yaml) -> Vec<ColumnInfo> {
        let mut columns: Vec<ColumnInfo> = Vec::new();
        let mut known = HashSet::new();
        for item in body.get("columns").map(Yaml::items).unwrap_or_default() {
            let Some(name) = item.get("name").and_then(Yaml::scalar_text) else { continue };
            let mut layer = self.entry_config(package, patch, item, &["meta", "tags"]);
            let mut meta = Map::new();
            if let Some(Json::Object(own)) = layer.shift_remove("meta") {
                meta = own;
            }
            let column = ColumnInfo {
                description: self.description(package, patch, item),
                data_type: item.get("data_type").and_then(Yaml::scalar_text),
                meta,
                tags: layer.get("tags").map(texts).unwrap_or_default(),
                quote: item.get("quote").and_then(|q| as_bool(&q.to_json())),
                constraints: item.get("constraints").and_then(|c| c.to_json().as_array().cloned()).unwrap_or_default(),
                name,
            };
            if !known.insert(column.name.clone()) {
                let message = format!("column `{}` is described twice", column.name);
                self.problems.push(patch.warning("WL-P012", message, item.at));
            } else {
                columns.push(column);
            }
        }
        columns
    }

    /// `config:` of an entry, under the keys that may also stand beside it.
    pub(super) fn entry_config(
        &mut self,
        package: &str,
        patch: &Patch,
        body: &Yaml,
        beside: &[&str],
    ) -> Map<String, Json> {
        let mut layer = Map::new();
        for key in beside {
            if let Some(value) = body.get(key) {
                let rendered = self.render(package, patch, value);
                merge::merge(&mut layer, &Map::from_iter([((*key).to_owned(), rendered)]));
            }
        }
        if let Some(config) = body.get("config") {
            match self.templates.map(package, &patch.shown, config, &HOOK_KEYS) {
                Ok(config) => merge::merge(&mut layer, &config),
                Err(problem) => self.problems.push(problem),
            }
        }
        layer
    }

    pub(super) fn render(&mut self, package: &str, patch: &Patch, value: &Yaml) -> Json {
        self.templates.value(package, &patch.shown, value).unwrap_or_else(|problem: Diagnostic| {
            self.problems.push(problem);
            Json::Null
        })
    }
}

/// One text or a list of texts.
pub(super) fn texts(value: &Json) -> Vec<String> {
    match value {
        Json::Array(items) => items.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
        Json::String(text) => vec![text.clone()],
        _ => Vec::new(),
    }
}
