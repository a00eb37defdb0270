//! Sources and exposures: what properties files alone declare.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value as Json};
use wardlake_core::{Diagnostic, Location, did_you_mean};

use super::{Loader, describe::texts, parse_pass::unique};
use crate::{
    DependsOn, Exposure, Freshness, FreshnessLimit, Relation, RelationKind, ResourceType, Source,
    audit::misplaced,
    config::merge::merge,
    properties::{Patch, slips},
    yaml::{Mark, Yaml, as_bool},
};

const SOURCE_KEYS: [&str; 17] = [
    "name",
    "description",
    "database",
    "schema",
    "loader",
    "loaded_at_field",
    "loaded_at_query",
    "meta",
    "tags",
    "config",
    "overrides",
    "freshness",
    "quoting",
    "tables",
    "catalog",
    "enabled",
    "data_tests",
];

const TABLE_KEYS: [&str; 17] = [
    "name",
    "description",
    "meta",
    "identifier",
    "loaded_at_field",
    "loaded_at_query",
    "tests",
    "data_tests",
    "tags",
    "freshness",
    "quoting",
    "external",
    "columns",
    "config",
    "docs",
    "quote_columns",
    "enabled",
];

impl Loader {
    /// Every table of every source.
    pub(super) fn add_sources(&mut self) {
        for patch in self.properties.sources.clone() {
            slips(&patch, &patch.body, &SOURCE_KEYS, &mut self.problems);
            let package = self.packages[patch.package].name.clone();
            let source_config = self.entry_config(&package, &patch, &patch.body, &["meta", "tags", "enabled"]);
            let source_description = self.description(&package, &patch, &patch.body);
            let Some(tables) = patch.body.get("tables") else { continue };
            for table in tables.items() {
                slips(&patch, table, &TABLE_KEYS, &mut self.problems);
                match table.get("name").and_then(Yaml::scalar_text) {
                    Some(name) => {
                        let source = self.source(&package, &patch, &source_config, &source_description, table, name);
                        self.keep_source(&patch, source, table);
                    }
                    None => {
                        let message = format!("a table of source `{}` needs a `name`", patch.name);
                        self.problems.push(patch.error("WL-P005", message, table.at));
                    }
                }
            }
        }
    }

    fn keep_source(&mut self, patch: &Patch, source: Source, table: &Yaml) {
        if source.config.get("enabled").and_then(as_bool) == Some(false) {
            self.lookup.add_disabled_source(&source.package, &source.source_name, &source.name);
        } else if let Some(first) = self.sources.get(&source.unique_id) {
            let message = format!("table `{}` of source `{}` is declared twice", source.name, source.source_name);
            let help = format!("the other is at {}", first.location);
            self.problems.push(patch.error("WL-P010", message, table.at).help(help));
        } else {
            self.lookup.add_source(&source);
            self.sources.insert(source.unique_id.clone(), source);
        }
    }

    fn source(
        &mut self,
        package: &str,
        patch: &Patch,
        source_config: &Map<String, Json>,
        source_description: &str,
        table: &Yaml,
        name: String,
    ) -> Source {
        let body = &patch.body;
        let mut fqn = vec![package.to_owned()];
        fqn.extend(folders(&patch.path));
        fqn.extend([patch.name.clone(), name.clone()]);
        let (mut config, above) = self.layers(patch.package, ResourceType::Source, &fqn);
        let table_config = self.entry_config(package, patch, table, &["meta", "tags", "enabled"]);
        merge(&mut config, source_config);
        merge(&mut config, &table_config);
        above.iter().for_each(|layer| merge(&mut config, layer));
        let meta = config.get("meta").and_then(Json::as_object).cloned().unwrap_or_default();
        for problem in misplaced(&config, &meta) {
            let at = [table, body].into_iter().find_map(|level| key_mark(level, &problem.section)).unwrap_or(table.at);
            let mut diagnostic =
                patch.error("WL-P026", format!("source {}.{name}: {}", patch.name, problem.message), at);
            diagnostic.help = problem.help;
            self.problems.push(diagnostic);
        }
        let source_meta = source_config.get("meta").and_then(Json::as_object).cloned().unwrap_or_default();
        let text = |loader: &mut Self, from: &Yaml, key: &str| -> Option<String> {
            let value = loader.render(package, patch, from.get(key)?);
            value.as_str().map(str::to_owned).or_else(|| (!value.is_null()).then(|| value.to_string()))
        };
        let schema = text(self, body, "schema").unwrap_or_else(|| patch.name.clone());
        let identifier = text(self, table, "identifier").unwrap_or_else(|| name.clone());
        let loaded_at_field = text(self, table, "loaded_at_field")
            .or_else(|| table_config.get("loaded_at_field").and_then(Json::as_str).map(str::to_owned))
            .or_else(|| text(self, body, "loaded_at_field"))
            .or_else(|| config.get("loaded_at_field").and_then(Json::as_str).map(str::to_owned));
        Source {
            unique_id: format!("source.{package}.{}.{name}", patch.name),
            source_name: patch.name.clone(),
            relation: Relation {
                database: None,
                schema: Some(schema),
                identifier: identifier.clone(),
                kind: Some(RelationKind::Table),
            },
            name,
            identifier,
            package: package.to_owned(),
            database: text(self, body, "database"),
            loader: text(self, body, "loader").unwrap_or_default(),
            description: self.description(package, patch, table),
            source_description: source_description.to_owned(),
            loaded_at_field,
            freshness: self.freshness(patch, table),
            fqn,
            tags: config.get("tags").map(texts).unwrap_or_default(),
            wardlake: wardlake_block(&[&source_meta, &meta]),
            settings: settings(patch, &[body, table]),
            meta,
            source_meta,
            config,
            columns: self.columns(package, patch, table),
            path: patch.original.clone(),
            original_file_path: patch.original.clone(),
            location: Location { file: patch.shown.clone(), line: table.at.line, column: table.at.column },
        }
    }

    /// The table's freshness over the source's; `freshness: null` on the table switches it off.
    fn freshness(&mut self, patch: &Patch, table: &Yaml) -> Option<Freshness> {
        let find = |body: &Yaml| body.get("freshness").or_else(|| body.get("config")?.get("freshness")).cloned();
        let mut freshness = Freshness::default();
        for level in [find(&patch.body), find(table)] {
            let Some(level) = level else { continue };
            if !level.is_map() {
                freshness = Freshness::default();
                continue;
            }
            for (key, value) in level.entries() {
                match key.text.as_str() {
                    "warn_after" => freshness.warn_after = self.limit(patch, value),
                    "error_after" => freshness.error_after = self.limit(patch, value),
                    "filter" => freshness.filter = value.scalar_text(),
                    other => {
                        let warning =
                            patch.warning("WL-P003", format!("`{other}` is not a key of `freshness`"), key.at);
                        self.problems.push(warning.help("its keys are warn_after, error_after and filter"));
                    }
                }
            }
        }
        (freshness.warn_after.is_some() || freshness.error_after.is_some()).then_some(freshness)
    }

    fn limit(&mut self, patch: &Patch, value: &Yaml) -> Option<FreshnessLimit> {
        if !value.is_map() {
            return None;
        }
        let package = self.packages[patch.package].name.clone();
        let mut get = |key: &str| value.get(key).map(|v| self.render(&package, patch, v));
        let count = get("count").and_then(|c| c.as_u64().or_else(|| c.as_str()?.trim().parse().ok()));
        let period = get("period").and_then(|p| p.as_str().map(str::to_owned));
        match (count, period) {
            (Some(count), Some(period)) if ["minute", "hour", "day"].contains(&period.as_str()) => {
                Some(FreshnessLimit { count, period })
            }
            _ => {
                let problem = patch.error("WL-P005", "a freshness limit needs `count` and `period`", value.at);
                self.problems
                    .push(problem.help("for example {count: 12, period: hour}; a period is minute, hour or day"));
                None
            }
        }
    }

    /// Every exposure; what it uses is linked later.
    pub(super) fn add_exposures(&mut self) {
        for patch in self.properties.exposures.clone() {
            let package = self.packages[patch.package].name.clone();
            let mut fqn = vec![package.clone()];
            fqn.extend(folders(&patch.path));
            fqn.push(patch.name.clone());
            let (mut config, above) = self.layers(patch.package, ResourceType::Exposure, &fqn);
            let own = self.entry_config(&package, &patch, &patch.body, &["meta", "tags", "enabled"]);
            merge(&mut config, &own);
            above.iter().for_each(|layer| merge(&mut config, layer));
            if config.get("enabled").and_then(as_bool) == Some(false) {
                continue;
            }
            let exposure = self.exposure(&package, &patch, config, fqn);
            if let Some(first) = self.exposures.get(&exposure.unique_id) {
                let message = format!("there are two exposures called `{}`", exposure.name);
                let help = format!("the other is at {}", first.location);
                self.problems.push(patch.error("WL-P010", message, patch.at).help(help));
            } else {
                self.exposures.insert(exposure.unique_id.clone(), exposure);
            }
        }
    }

    fn exposure(&mut self, package: &str, patch: &Patch, config: Map<String, Json>, fqn: Vec<String>) -> Exposure {
        const TYPES: [&str; 5] = ["dashboard", "notebook", "analysis", "ml", "application"];
        let body = &patch.body;
        let text = |key: &str| body.get(key).and_then(Yaml::scalar_text);
        let exposure_type = text("type").unwrap_or_default();
        if !TYPES.contains(&exposure_type.as_str()) {
            let at = body.get("type").map_or(patch.at, |t| t.at);
            let problem =
                patch.error("WL-P025", format!("exposure `{}` needs a `type`: {}", patch.name, TYPES.join(", ")), at);
            self.problems.push(match did_you_mean(&exposure_type, TYPES) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem,
            });
        }
        let owner = body.get("owner").map(Yaml::to_map).unwrap_or_default();
        if owner.get("name").is_none() && owner.get("email").is_none() {
            let message = format!("exposure `{}` needs an `owner` with a `name` or an `email`", patch.name);
            self.problems.push(patch.error("WL-P025", message, patch.at));
        }
        let (mut refs, mut sources, mut macros) = (Vec::new(), Vec::new(), Vec::new());
        for item in body.get("depends_on").map(Yaml::items).unwrap_or_default() {
            let Some(call) = item.as_str() else { continue };
            let template = if call.contains("{{") { call.to_owned() } else { format!("{{{{ {call} }}}}") };
            let request = self.templates.request(package, &patch.shown, item.at.line, &template);
            match self.templates.jinja.render(&request) {
                Ok(rendered) => {
                    refs.extend(rendered.captured.refs);
                    sources.extend(rendered.captured.sources);
                    macros.extend(rendered.captured.macros);
                }
                Err(problem) => self.problems.push(Diagnostic { location: Some(place(patch, item)), ..problem }),
            }
        }
        Exposure {
            unique_id: format!("exposure.{package}.{}", patch.name),
            name: patch.name.clone(),
            package: package.to_owned(),
            exposure_type,
            owner,
            label: text("label"),
            maturity: text("maturity"),
            url: text("url"),
            description: self.description(package, patch, body),
            tags: config.get("tags").map(texts).unwrap_or_default(),
            meta: config.get("meta").and_then(Json::as_object).cloned().unwrap_or_default(),
            config,
            fqn,
            depends_on: DependsOn { nodes: Vec::new(), macros: unique(macros, Clone::clone) },
            refs,
            sources,
            path: patch.path.clone(),
            original_file_path: patch.original.clone(),
            location: Location { file: patch.shown.clone(), line: patch.at.line, column: patch.at.column },
        }
    }
}

fn place(patch: &Patch, item: &Yaml) -> Location {
    Location { file: patch.shown.clone(), line: item.at.line, column: item.at.column }
}

fn folders(path: &str) -> Vec<String> {
    let parent = Path::new(path).parent().into_iter().flat_map(Path::components);
    parent.map(|c| c.as_os_str().to_string_lossy().into_owned()).collect()
}

/// `meta` of an entry, wherever it may stand.
fn metas(body: &Yaml) -> impl Iterator<Item = &Yaml> {
    [body.get("meta"), body.get("config").and_then(|config| config.get("meta"))].into_iter().flatten()
}

/// Where a key of an entry's config or meta is written.
fn key_mark(body: &Yaml, name: &str) -> Option<Mark> {
    body.get("config")
        .into_iter()
        .chain(metas(body))
        .find_map(|level| level.entries().iter().find(|(key, _)| key.text == name).map(|(key, _)| key.at))
}

/// The places of all settings in the `wardlake` blocks of entries, weakest first.
fn settings(patch: &Patch, entries: &[&Yaml]) -> BTreeMap<String, Location> {
    let mut places = BTreeMap::new();
    for block in entries.iter().flat_map(|body| metas(body)).filter_map(|meta| meta.get("wardlake")) {
        add_settings(patch, "", block, &mut places);
    }
    places
}

fn add_settings(patch: &Patch, above: &str, block: &Yaml, places: &mut BTreeMap<String, Location>) {
    for (key, value) in block.entries() {
        let path = if above.is_empty() { key.text.clone() } else { format!("{above}.{}", key.text) };
        add_settings(patch, &path, value, places);
        let place = Location { file: patch.shown.clone(), line: key.at.line, column: key.at.column };
        places.insert(path, place);
    }
}

/// `wardlake` of several metas, weakest first, merged key by key.
fn wardlake_block(metas: &[&Map<String, Json>]) -> Map<String, Json> {
    let mut block = Map::new();
    for meta in metas {
        if let Some(Json::Object(own)) = meta.get("wardlake") {
            block.extend(own.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
    }
    block
}
