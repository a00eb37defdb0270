//! Properties files (`schema.yml`): what they say about which node, sorted by kind.

use std::{collections::BTreeMap, path::PathBuf};

use wardlake_core::{Diagnostic, Diagnostics, did_you_mean};

use crate::{
    files::SourceFile,
    yaml::{Key, Mark, Yaml, YamlValue},
};

/// One entry of a properties file.
#[derive(Clone, Debug)]
pub(crate) struct Patch {
    /// `models`, `seeds`, `snapshots`, `analyses`, `macros`, `sources`, `exposures`, `data_tests`.
    pub(crate) section: &'static str,
    pub(crate) name: String,
    pub(crate) at: Mark,
    /// Index into the packages.
    pub(crate) package: usize,
    /// The file, relative to the project, for messages.
    pub(crate) shown: PathBuf,
    /// Below its kind's folder.
    pub(crate) path: String,
    /// Below its package.
    pub(crate) original: String,
    pub(crate) body: Yaml,
}

impl Patch {
    /// An error about this entry.
    pub(crate) fn error(&self, code: &str, message: impl Into<String>, at: Mark) -> Diagnostic {
        Diagnostic::error(code, message).at(&self.shown, at.line, at.column)
    }

    /// `versions:` with anything in it, and where.
    pub(crate) fn versions(&self) -> Option<Mark> {
        let is_said = |(key, value): &&(Key, Yaml)| key.text == "versions" && !value.items().is_empty();
        self.body.entries().iter().find(is_said).map(|(key, _)| key.at)
    }

    /// A warning about this entry.
    pub(crate) fn warning(&self, code: &str, message: impl Into<String>, at: Mark) -> Diagnostic {
        Diagnostic::warning(code, message).at(&self.shown, at.line, at.column)
    }
}

/// All entries of all files.
#[derive(Debug, Default)]
pub(crate) struct Properties {
    /// (package, section, name) → entry.
    pub(crate) patches: BTreeMap<(usize, &'static str, String), Patch>,
    pub(crate) sources: Vec<Patch>,
    pub(crate) exposures: Vec<Patch>,
}

const SECTIONS: [(&str, &str); 9] = [
    ("models", "models"),
    ("seeds", "seeds"),
    ("snapshots", "snapshots"),
    ("analyses", "analyses"),
    ("macros", "macros"),
    ("sources", "sources"),
    ("exposures", "exposures"),
    ("data_tests", "data_tests"),
    ("tests", "data_tests"),
];

/// The code of what a project asks for and nothing does: a check that is believed to hold, and is never made.
pub(crate) const NOT_DONE: &str = "WL-P028";

/// Sections dbt knows and this version passes over in silence or with a word.
const LATER: [&str; 5] = ["metrics", "groups", "semantic_models", "saved_queries", "functions"];

const ENTRY_KEYS: [&str; 23] = [
    "name",
    "description",
    "docs",
    "latest_version",
    "deprecation_date",
    "access",
    "config",
    "constraints",
    "tests",
    "data_tests",
    "columns",
    "time_spine",
    "versions",
    "meta",
    "group",
    "freshness",
    "relation",
    "tags",
    "quote_columns",
    "arguments",
    "loaded_at_field",
    "primary_key",
    "enabled",
];

const COLUMN_KEYS: [&str; 12] = [
    "name",
    "description",
    "meta",
    "data_type",
    "constraints",
    "docs",
    "tests",
    "data_tests",
    "tags",
    "quote",
    "config",
    "granularity",
];

impl Properties {
    /// Sorts the entries of one file in.
    pub(crate) fn add(&mut self, file: &SourceFile, tree: Yaml, problems: &mut Diagnostics) {
        let at = tree.at;
        let kind = tree.kind();
        let YamlValue::Map(entries) = tree.value else {
            let message = format!("a properties file must be a mapping, not {kind}");
            problems.push(Diagnostic::error("WL-P005", message).at(&file.shown, at.line, at.column));
            return;
        };
        for (key, value) in entries {
            if matches!(key.text.as_str(), "version" | "anchors") {
                continue;
            }
            let Some((_, section)) = SECTIONS.iter().find(|(name, _)| *name == key.text) else {
                problems.push(unknown_section(file, &key));
                continue;
            };
            let at = value.at;
            match value.value {
                YamlValue::List(items) => {
                    items.into_iter().for_each(|item| self.add_entry(section, file, item, problems))
                }
                YamlValue::Null => {}
                _ => problems.push(
                    Diagnostic::error("WL-P005", format!("`{}` must be a list", key.text))
                        .at(&file.shown, at.line, at.column)
                        .help(format!("start each of its entries with `- name: …` below `{}:`", key.text)),
                ),
            }
        }
    }

    fn add_entry(&mut self, section: &'static str, file: &SourceFile, body: Yaml, problems: &mut Diagnostics) {
        let Some(name) = body.get("name").and_then(Yaml::scalar_text) else {
            problems.push(Diagnostic::error("WL-P005", format!("an entry of `{section}` needs a `name`")).at(
                &file.shown,
                body.at.line,
                body.at.column,
            ));
            return;
        };
        let patch = Patch {
            section,
            name,
            at: body.get("name").map_or(body.at, |n| n.at),
            package: file.package,
            shown: file.shown.clone(),
            path: file.path.clone(),
            original: file.original.clone(),
            body,
        };
        match section {
            "sources" => self.sources.push(patch),
            "exposures" => self.exposures.push(patch),
            _ => {
                check_keys(&patch, problems);
                let key = (patch.package, section, patch.name.clone());
                if let Some(first) = self.patches.get(&key) {
                    let message = format!("`{}` is described twice under `{section}`", patch.name);
                    let help = format!(
                        "the first is at {}:{}:{}; merge the two",
                        first.shown.display(),
                        first.at.line,
                        first.at.column
                    );
                    problems.push(patch.error("WL-P012", message, patch.at).help(help));
                } else {
                    self.patches.insert(key, patch);
                }
            }
        }
    }
}

fn unknown_section(file: &SourceFile, key: &Key) -> Diagnostic {
    let warning = |message: String| Diagnostic::warning("WL-P003", message).at(&file.shown, key.at.line, key.at.column);
    if key.text == "unit_tests" {
        return Diagnostic { code: NOT_DONE.to_owned(), ..warning("unit tests are not run".to_owned()) }.help(
            "write what must hold of real rows as `expectations` or `data_tests`; for rows of your own, build the model on seeds",
        );
    }
    if LATER.contains(&key.text.as_str()) {
        return warning(format!("`{}` is not supported yet and was passed over", key.text));
    }
    let near = did_you_mean(&key.text, SECTIONS.iter().map(|(name, _)| *name));
    let problem = warning(format!("`{}` is not a section of a properties file", key.text));
    match near {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem,
    }
}

fn check_keys(patch: &Patch, problems: &mut Diagnostics) {
    slips(patch, &patch.body, &ENTRY_KEYS, problems);
    if let Some(at) = patch.versions() {
        let name = &patch.name;
        let message = format!("model versions are not supported: the `versions` of `{name}` are read by nothing");
        problems.push(patch.warning(NOT_DONE, message, at).help(format!(
            "each file is a model of its own: describe and test `{name}_v1`, `{name}_v2`, … as entries of their own; \
             `ref('{name}', v=2)` reads `{name}_v2`, and a `ref` without `v` needs a model `{name}`"
        )));
    }
    unenforced(patch, &patch.body, problems);
    for column in patch.body.get("columns").map(Yaml::items).unwrap_or_default() {
        if column.get("name").and_then(Yaml::scalar_text).is_none() {
            problems.push(patch.error("WL-P005", format!("a column of `{}` needs a `name`", patch.name), column.at));
        }
        slips(patch, column, &COLUMN_KEYS, problems);
        unenforced(patch, column, problems);
    }
}

/// Warns of the constraints of an entry or a column: no row is held against them.
fn unenforced(patch: &Patch, body: &Yaml, problems: &mut Diagnostics) {
    let constraints = body.entries().iter().find(|(key, value)| key.text == "constraints" && !value.items().is_empty());
    if let Some((key, _)) = constraints {
        let message = format!("the `constraints` of `{}` are not enforced", patch.name);
        problems.push(patch.warning(NOT_DONE, message, key.at).help(
            "write them as `expectations` under `config: {meta: {wardlake: {…}}}`, such as `not_null`, `unique_in` or `that`",
        ));
    }
}

/// Packages add keys of their own, so only a key that looks like a known one gets a word. Wardlake's own settings have one place:
/// beside it nothing would read them.
pub(crate) fn slips(patch: &Patch, body: &Yaml, known: &[&str], problems: &mut Diagnostics) {
    for (key, _) in body.entries() {
        if matches!(key.text.as_str(), "wardlake" | "expectations") {
            let message = format!("{}: `{}` stands where nothing reads it", patch.name, key.text);
            problems.push(patch.error("WL-P026", message, key.at).help(match key.text.as_str() {
                "wardlake" => "write it as `config: {meta: {wardlake: {…}}}`",
                _ => "write it as `config: {meta: {wardlake: {expectations: […]}}}`",
            }));
            continue;
        }
        if known.contains(&key.text.as_str()) || key.text.len() < 4 {
            continue;
        }
        if let Some(near) = known.iter().find(|near| strsim::osa_distance(&key.text, near) <= 2) {
            problems.push(
                patch
                    .warning("WL-P003", format!("`{}` is not a known key of `{}`", key.text, patch.name), key.at)
                    .help(format!("did you mean `{near}`?")),
            );
        }
    }
}
