//! `dbt_project.yml`: what a package is called, where its files are, and what it says about them by folder.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value as Json};
use wardlake_core::{Diagnostic, Diagnostics, did_you_mean};

use crate::yaml::{Mark, Yaml, YamlValue};

/// The project itself or a package under `dbt_packages/`.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, as written.
    pub version: Option<String>,
    /// Its folder, absolute.
    pub dir: PathBuf,
    /// Its folder below the project's; empty for the project itself.
    pub prefix: PathBuf,
    /// Folders of models.
    pub model_paths: Vec<String>,
    /// Folders of seeds.
    pub seed_paths: Vec<String>,
    /// Folders of snapshots.
    pub snapshot_paths: Vec<String>,
    /// Folders of tests.
    pub test_paths: Vec<String>,
    /// Folders of macros.
    pub macro_paths: Vec<String>,
    /// Folders of analyses.
    pub analysis_paths: Vec<String>,
    /// Folders of docs, if they are not all of the above.
    pub docs_paths: Vec<String>,
    /// Folder of artifacts and compiled SQL.
    pub target_path: String,
    /// Folders `clean` removes.
    pub clean_targets: Vec<String>,
    /// `vars:` as written.
    pub vars: Map<String, Json>,
    /// `flags:` as written.
    pub flags: Map<String, Json>,
    /// Folder configs by kind: `models`, `seeds`, `snapshots`, `tests`, `sources`, `exposures`, `analyses`.
    pub(crate) folder_configs: BTreeMap<&'static str, Map<String, Json>>,
    /// `on-run-start`, with the line of each.
    pub(crate) on_run_start: Vec<(String, Mark)>,
    /// `on-run-end`, with the line of each.
    pub(crate) on_run_end: Vec<(String, Mark)>,
    /// `dispatch`: namespace and search order.
    pub(crate) dispatch: Vec<(String, Vec<String>)>,
}

const KEYS: [&str; 48] = [
    "name",
    "version",
    "config-version",
    "profile",
    "model-paths",
    "source-paths",
    "seed-paths",
    "data-paths",
    "snapshot-paths",
    "test-paths",
    "macro-paths",
    "docs-paths",
    "analysis-paths",
    "asset-paths",
    "function-paths",
    "target-path",
    "log-path",
    "packages-install-path",
    "clean-targets",
    "vars",
    "models",
    "seeds",
    "snapshots",
    "tests",
    "data_tests",
    "data-tests",
    "sources",
    "exposures",
    "metrics",
    "semantic-models",
    "saved-queries",
    "unit_tests",
    "functions",
    "on-run-start",
    "on-run-end",
    "dispatch",
    "require-dbt-version",
    "flags",
    "query-comment",
    "quoting",
    "restrict-access",
    "dbt-cloud",
    "anchors",
    "groups",
    "analyses",
    "packages",
    "test",
    "description",
];

impl Package {
    /// The file's place below the project folder.
    pub(crate) fn project_file(&self) -> PathBuf {
        self.prefix.join("dbt_project.yml")
    }

    /// Reads a dbt_project.yml. `render` turns a value with Jinja in it into the value it stands for.
    pub(crate) fn read(
        dir: PathBuf,
        prefix: PathBuf,
        tree: &Yaml,
        render: &dyn Fn(&str, &Yaml) -> Result<Json, Diagnostic>,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let file = prefix.join("dbt_project.yml");
        if !tree.is_map() {
            let message = format!("dbt_project.yml must be a mapping, not {}", tree.kind());
            problems.push(Diagnostic::error("WL-P005", message).at(&file, tree.at.line, tree.at.column));
            return None;
        }
        let name = tree.get("name").and_then(Yaml::scalar_text).unwrap_or_default();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let at = tree.get("name").map_or(tree.at, |n| n.at);
            problems.push(
                Diagnostic::error("WL-P005", "dbt_project.yml needs a `name` of letters, digits and underscores")
                    .at(&file, at.line, at.column)
                    .help("for example `name: my_hospital`"),
            );
            return None;
        }
        for (key, _) in tree.entries() {
            if !KEYS.contains(&key.text.as_str()) {
                let warning = Diagnostic::warning("WL-P003", format!("`{}` is not a key of dbt_project.yml", key.text))
                    .at(&file, key.at.line, key.at.column);
                problems.push(match did_you_mean(&key.text, KEYS) {
                    Some(near) => warning.help(format!("did you mean `{near}`?")),
                    None => warning,
                });
            }
        }
        let reader = Reader { file: &file, package: &name, tree, render };
        let package = Self {
            version: tree.get("version").and_then(Yaml::scalar_text),
            model_paths: reader.paths(&["model-paths", "source-paths"], &["models"], problems),
            seed_paths: reader.paths(&["seed-paths", "data-paths"], &["seeds"], problems),
            snapshot_paths: reader.paths(&["snapshot-paths"], &["snapshots"], problems),
            test_paths: reader.paths(&["test-paths"], &["tests"], problems),
            macro_paths: reader.paths(&["macro-paths"], &["macros"], problems),
            analysis_paths: reader.paths(&["analysis-paths"], &["analyses"], problems),
            docs_paths: reader.paths(&["docs-paths"], &[], problems),
            target_path: reader.paths(&["target-path"], &["target"], problems).into_iter().next().unwrap_or_default(),
            clean_targets: reader.paths(&["clean-targets"], &["target"], problems),
            vars: tree.get("vars").map(Yaml::to_map).unwrap_or_default(),
            flags: tree.get("flags").map(Yaml::to_map).unwrap_or_default(),
            folder_configs: reader.folder_configs(problems),
            on_run_start: hooks(tree.get("on-run-start")),
            on_run_end: hooks(tree.get("on-run-end")),
            dispatch: reader.dispatch(problems),
            name: name.clone(),
            dir,
            prefix,
        };
        Some(package)
    }

    /// `vars:` as `package` sees them: this project's globals, then its block for that package.
    pub(crate) fn vars_for(&self, package: &str, packages: &[String]) -> Map<String, Json> {
        let mut vars: Map<String, Json> = self
            .vars
            .iter()
            .filter(|(key, value)| !(value.is_object() && packages.contains(key)))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if let Some(Json::Object(own)) = self.vars.get(package) {
            vars.extend(own.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
        vars
    }
}

struct Reader<'a> {
    file: &'a Path,
    package: &'a str,
    tree: &'a Yaml,
    render: &'a dyn Fn(&str, &Yaml) -> Result<Json, Diagnostic>,
}

impl Reader<'_> {
    fn paths(&self, keys: &[&str], default: &[&str], problems: &mut Diagnostics) -> Vec<String> {
        let Some(value) = keys.iter().find_map(|key| self.tree.get(key)) else {
            return default.iter().map(|p| (*p).to_owned()).collect();
        };
        let clean = |text: &str| {
            let text = text.trim().trim_start_matches("./").trim_end_matches('/');
            if text.is_empty() { ".".to_owned() } else { text.to_owned() }
        };
        match (self.render)(self.package, value) {
            Ok(Json::String(text)) => vec![clean(&text)],
            Ok(Json::Array(items)) => items.iter().filter_map(Json::as_str).map(clean).collect(),
            Ok(Json::Null) => Vec::new(),
            Ok(_) => {
                let message = format!("`{}` must be a list of folders", keys[0]);
                problems.push(Diagnostic::error("WL-P005", message).at(self.file, value.at.line, value.at.column));
                Vec::new()
            }
            Err(problem) => {
                problems.push(problem);
                Vec::new()
            }
        }
    }

    fn folder_configs(&self, problems: &mut Diagnostics) -> BTreeMap<&'static str, Map<String, Json>> {
        let kinds = [
            ("models", "models"),
            ("seeds", "seeds"),
            ("snapshots", "snapshots"),
            ("tests", "tests"),
            ("data_tests", "tests"),
            ("data-tests", "tests"),
            ("sources", "sources"),
            ("exposures", "exposures"),
            ("analyses", "analyses"),
        ];
        let mut configs = BTreeMap::new();
        for (key, kind) in kinds {
            if let Some(tree) = self.tree.get(key)
                && let Json::Object(map) = self.render_folder(tree, problems)
            {
                configs.insert(kind, map);
            }
        }
        configs
    }

    /// Hooks keep their Jinja: they are rendered when their node runs.
    fn render_folder(&self, tree: &Yaml, problems: &mut Diagnostics) -> Json {
        match &tree.value {
            YamlValue::Map(entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    let is_hook =
                        matches!(key.text.trim_start_matches('+'), "pre-hook" | "post-hook" | "pre_hook" | "post_hook");
                    let value = if is_hook { value.to_json() } else { self.render_folder(value, problems) };
                    map.insert(key.text.clone(), value);
                }
                Json::Object(map)
            }
            _ => (self.render)(self.package, tree).unwrap_or_else(|problem| {
                problems.push(problem);
                Json::Null
            }),
        }
    }

    fn dispatch(&self, problems: &mut Diagnostics) -> Vec<(String, Vec<String>)> {
        let Some(list) = self.tree.get("dispatch") else { return Vec::new() };
        let mut rules = Vec::new();
        for item in list.items() {
            match (item.get("macro_namespace").and_then(Yaml::scalar_text), item.get("search_order")) {
                (Some(namespace), Some(order)) => rules.push((namespace, order.text_list())),
                _ => {
                    problems.push(
                        Diagnostic::error("WL-P005", "a `dispatch` entry needs `macro_namespace` and `search_order`")
                            .at(self.file, item.at.line, item.at.column),
                    )
                }
            }
        }
        rules
    }
}

fn hooks(value: Option<&Yaml>) -> Vec<(String, Mark)> {
    let Some(value) = value else { return Vec::new() };
    let one = |yaml: &Yaml| {
        let sql = yaml.as_str().or_else(|| yaml.get("sql").and_then(Yaml::as_str))?;
        (!sql.trim().is_empty()).then(|| (sql.to_owned(), yaml.at))
    };
    match &value.value {
        YamlValue::List(items) => items.iter().filter_map(one).collect(),
        _ => one(value).into_iter().collect(),
    }
}
