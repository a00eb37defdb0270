//! `selectors.yml`: selections with a name.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value as Json;
use wardlake_core::{Diagnostic, Diagnostics, did_you_mean};

use super::{Ids, atom::Atom};
use crate::{Project, yaml};

const FILE: &str = "selectors.yml";

/// Named selections of the project.
#[derive(Debug, Default)]
pub(crate) struct Selectors {
    definitions: BTreeMap<String, Json>,
}

impl Selectors {
    /// Reads the file, if the project has one.
    pub(crate) fn read(dir: &Path, problems: &mut Diagnostics) -> Self {
        let tree = match yaml::read(&dir.join(FILE), Path::new(FILE)) {
            Ok(Some(tree)) => tree,
            Ok(None) => return Self::default(),
            Err(problem) => {
                problems.push(problem);
                return Self::default();
            }
        };
        let mut definitions = BTreeMap::new();
        for item in tree.get("selectors").map(yaml::Yaml::items).unwrap_or_default() {
            match (item.get("name").and_then(yaml::Yaml::scalar_text), item.get("definition")) {
                (Some(name), Some(definition)) => {
                    definitions.insert(name, definition.to_json());
                }
                _ => problems.push(Diagnostic::error("WL-P005", "a selector needs a `name` and a `definition`").at(
                    FILE,
                    item.at.line,
                    item.at.column,
                )),
            }
        }
        Self { definitions }
    }

    /// All definitions as written, for the manifest.
    pub(crate) fn definitions(&self) -> &BTreeMap<String, Json> {
        &self.definitions
    }

    /// The nodes a named selection stands for.
    pub(crate) fn resolve(&self, project: &Project, name: &str, all: &Ids) -> Result<Ids, Diagnostic> {
        let Some(definition) = self.definitions.get(name) else {
            let problem = Diagnostic::error("WL-P030", format!("there is no selector `{name}` in selectors.yml"));
            return Err(match did_you_mean(name, self.definitions.keys().map(String::as_str)) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem,
            });
        };
        // A selector may name another; one that names itself would never end.
        evaluate(project, definition, all, self.definitions.len() + 8)
    }
}

fn bad(what: &Json) -> Diagnostic {
    Diagnostic::error("WL-P030", format!("selectors.yml: `{what}` is not a selection"))
        .help("write a text, {method: …, value: …}, {union: […]} or {intersection: […]}")
}

fn evaluate(project: &Project, definition: &Json, all: &Ids, depth: usize) -> Result<Ids, Diagnostic> {
    if depth == 0 {
        return Err(Diagnostic::error("WL-P030", "selectors.yml: a selector names itself"));
    }
    match definition {
        Json::String(text) => project.atom(&Atom::parse(text)?, all),
        Json::Object(map) => {
            if let Some(Json::Array(parts)) = map.get("union") {
                return combine(project, parts, all, depth, |a, b| a.union(b).cloned().collect());
            }
            if let Some(Json::Array(parts)) = map.get("intersection") {
                return combine(project, parts, all, depth, |a, b| a.intersection(b).cloned().collect());
            }
            let Some(method) = map.get("method").and_then(Json::as_str) else {
                return match map.iter().next() {
                    Some((method, Json::String(value))) if map.len() == 1 => {
                        project.atom(&Atom::parse(&format!("{method}:{value}"))?, all)
                    }
                    _ => Err(bad(definition)),
                };
            };
            let Some(value) = map.get("value").and_then(Json::as_str) else { return Err(bad(definition)) };
            let flag = |key: &str| map.get(key).and_then(yaml::as_bool).unwrap_or(false);
            let steps = |key: &str| map.get(key).and_then(Json::as_u64).map(|n| n as usize);
            let mut atom = Atom::parse(&format!("{method}:{value}"))?;
            atom.with_siblings |= flag("childrens_parents");
            if flag("parents") {
                atom.parents = Some(steps("parents_depth"));
            }
            if flag("children") {
                atom.children = Some(steps("children_depth"));
            }
            let mut chosen = project.atom(&atom, all)?;
            if let Some(Json::Array(excluded)) = map.get("exclude") {
                let out = combine(project, excluded, all, depth, |a, b| a.union(b).cloned().collect())?;
                chosen.retain(|id| !out.contains(id));
            }
            Ok(chosen)
        }
        other => Err(bad(other)),
    }
}

fn combine(
    project: &Project,
    parts: &[Json],
    all: &Ids,
    depth: usize,
    join: impl Fn(&Ids, &Ids) -> Ids,
) -> Result<Ids, Diagnostic> {
    let mut chosen: Option<Ids> = None;
    let mut excluded = Ids::new();
    for part in parts {
        if let Some(Json::Array(out)) = part.get("exclude").filter(|_| part.get("method").is_none()) {
            for item in out {
                excluded.extend(evaluate(project, item, all, depth - 1)?);
            }
            continue;
        }
        let ids = evaluate(project, part, all, depth - 1)?;
        chosen = Some(match chosen {
            Some(before) => join(&before, &ids),
            None => ids,
        });
    }
    let mut chosen = chosen.unwrap_or_default();
    chosen.retain(|id| !excluded.contains(id));
    Ok(chosen)
}
