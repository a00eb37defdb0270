//! What each method matches.

use serde_json::Value as Json;
use wardlake_core::{Diagnostic, did_you_mean};

use super::{
    Ids,
    atom::Atom,
    pattern::{Pattern, has_wildcard, matches_fqn},
};
use crate::{Exposure, Node, Project, ResourceType, Source, UniqueId, node_json};

const METHODS: [&str; 13] = [
    "fqn",
    "tag",
    "path",
    "file",
    "source",
    "config",
    "resource_type",
    "package",
    "exposure",
    "test_type",
    "test_name",
    "selector",
    "meta",
];

/// Methods of dbt that need what this version does not keep.
const LATER: [&str; 10] = [
    "state",
    "result",
    "source_status",
    "group",
    "access",
    "version",
    "metric",
    "semantic_model",
    "saved_query",
    "unit_test",
];

/// Anything that can be selected.
enum Item<'a> {
    Node(&'a Node),
    Source(&'a Source),
    Exposure(&'a Exposure),
}

impl Item<'_> {
    fn tags(&self) -> &[String] {
        match self {
            Item::Node(n) => &n.tags,
            Item::Source(s) => &s.tags,
            Item::Exposure(e) => &e.tags,
        }
    }

    fn package(&self) -> &str {
        match self {
            Item::Node(n) => &n.package,
            Item::Source(s) => &s.package,
            Item::Exposure(e) => &e.package,
        }
    }

    fn original_path(&self) -> &str {
        match self {
            Item::Node(n) => &n.original_file_path,
            Item::Source(s) => &s.original_file_path,
            Item::Exposure(e) => &e.original_file_path,
        }
    }

    fn kind(&self) -> ResourceType {
        match self {
            Item::Node(n) => n.resource_type,
            Item::Source(_) => ResourceType::Source,
            Item::Exposure(_) => ResourceType::Exposure,
        }
    }

    fn config(&self) -> Json {
        match self {
            Item::Node(n) => node_json::config(n),
            Item::Source(s) => Json::Object(s.config.clone()),
            Item::Exposure(e) => Json::Object(e.config.clone()),
        }
    }
}

/// The ids of `all` that an atom's method and value match, without its reach along the graph.
pub(super) fn matching(project: &Project, atom: &Atom, all: &Ids) -> Result<Ids, Diagnostic> {
    let test = predicate(project, atom)?;
    let item = |id: &UniqueId| {
        project
            .node(id)
            .map(Item::Node)
            .or_else(|| project.source(id).map(Item::Source))
            .or_else(|| project.exposures().get(id).map(Item::Exposure))
    };
    Ok(all.iter().filter(|id| item(id).is_some_and(|item| test(&item))).cloned().collect())
}

type Predicate<'a> = Box<dyn Fn(&Item<'_>) -> bool + 'a>;

fn predicate<'a>(project: &'a Project, atom: &'a Atom) -> Result<Predicate<'a>, Diagnostic> {
    let value = atom.value.as_str();
    let pattern = Pattern::new(value);
    Ok(match atom.method.as_str() {
        "fqn" => Box::new(move |item| match item {
            Item::Node(n) => matches_fqn(&n.fqn, value),
            _ => false,
        }),
        "tag" => Box::new(move |item| item.tags().iter().any(|tag| pattern.matches(tag))),
        "path" => path(value),
        "file" => Box::new(move |item| {
            let name = item.original_path().rsplit('/').next().unwrap_or_default();
            pattern.matches(name) || name.rsplit_once('.').is_some_and(|(stem, _)| pattern.matches(stem))
        }),
        "package" => {
            let this = project.root().name.as_str();
            Box::new(move |item| pattern.matches(item.package()) || (value == "this" && item.package() == this))
        }
        "source" => source(value)?,
        "exposure" => {
            let (package, name) = value.split_once('.').unwrap_or(("*", value));
            let (package, name) = (Pattern::new(package), Pattern::new(name));
            Box::new(
                move |item| matches!(item, Item::Exposure(e) if package.matches(&e.package) && name.matches(&e.name)),
            )
        }
        "config" => {
            let path = atom.arguments.clone();
            Box::new(move |item| descend(&item.config(), &path).is_some_and(|found| equals(found, value)))
        }
        "meta" => {
            let mut path = vec!["meta".to_owned()];
            path.extend(atom.arguments.iter().cloned());
            Box::new(move |item| descend(&item.config(), &path).is_some_and(|found| equals(found, value)))
        }
        "resource_type" => {
            let kind: ResourceType = value.parse().map_err(|why: String| Diagnostic::error("WL-P030", why))?;
            Box::new(move |item| item.kind() == kind)
        }
        "test_type" => test_type(value)?,
        "test_name" => Box::new(
            move |item| matches!(item, Item::Node(n) if n.test.as_ref().is_some_and(|test| pattern.matches(&test.name))),
        ),
        other => return Err(unknown(other)),
    })
}

/// A file, a folder, or a pattern of either, below its package.
fn path<'a>(value: &str) -> Predicate<'a> {
    let clean = value.replace('\\', "/").trim_start_matches("./").trim_end_matches('/').to_owned();
    if has_wildcard(&clean) {
        let build = |text: &str| globset::GlobBuilder::new(text).literal_separator(true).build().ok();
        let globs: Vec<_> = [build(&clean), build(&format!("{clean}/**"))]
            .into_iter()
            .flatten()
            .map(|glob| glob.compile_matcher())
            .collect();
        return Box::new(move |item| globs.iter().any(|glob| glob.is_match(item.original_path())));
    }
    Box::new(move |item| {
        let below = |path: &str| {
            path == clean || clean == "." || path.strip_prefix(&clean).is_some_and(|rest| rest.starts_with('/'))
        };
        let patched = match item {
            Item::Node(n) => n.patch_path.as_deref().and_then(|p| p.split_once("://")).is_some_and(|(_, p)| p == clean),
            _ => false,
        };
        below(item.original_path()) || patched
    })
}

fn source<'a>(value: &str) -> Result<Predicate<'a>, Diagnostic> {
    let parts: Vec<&str> = value.split('.').collect();
    let (package, source, table) = match parts.as_slice() {
        [source] => ("*", *source, "*"),
        [source, table] => ("*", *source, *table),
        [package, source, table] => (*package, *source, *table),
        _ => {
            let problem = Diagnostic::error("WL-P030", format!("`{value}` is not a source"));
            return Err(
                problem.help("write source:<source>, source:<source>.<table> or source:<package>.<source>.<table>")
            );
        }
    };
    let (package, source, table) = (Pattern::new(package), Pattern::new(source), Pattern::new(table));
    Ok(Box::new(move |item| {
        matches!(item, Item::Source(s)
            if package.matches(&s.package) && source.matches(&s.source_name) && table.matches(&s.name))
    }))
}

fn test_type<'a>(value: &str) -> Result<Predicate<'a>, Diagnostic> {
    let (generic, singular) = match value {
        "generic" | "schema" => (true, false),
        "singular" => (false, true),
        "data" => (true, true),
        _ => {
            let problem = Diagnostic::error("WL-P030", format!("`{value}` is not a type of test"));
            return Err(problem.help("they are generic, singular and data (both)"));
        }
    };
    Ok(Box::new(move |item| match item {
        Item::Node(n) if n.resource_type == ResourceType::Test => {
            if n.test.is_some() {
                generic
            } else {
                singular
            }
        }
        _ => false,
    }))
}

fn descend<'j>(config: &'j Json, path: &[String]) -> Option<&'j Json> {
    path.iter().try_fold(config, |level, key| level.get(key))
}

fn equals(found: &Json, value: &str) -> bool {
    match found {
        Json::Array(items) => items.iter().any(|item| equals(item, value)),
        Json::Object(map) => map.contains_key(value),
        Json::String(text) => text == value || (["error", "warn"].contains(&value) && text.eq_ignore_ascii_case(value)),
        Json::Null => false,
        scalar => scalar.to_string().eq_ignore_ascii_case(value),
    }
}

fn unknown(method: &str) -> Diagnostic {
    if LATER.contains(&method) {
        return Diagnostic::error("WL-P032", format!("selecting by `{method}:` is not supported yet"))
            .help(format!("the methods are {}", METHODS.join(", ")));
    }
    let problem = Diagnostic::error("WL-P030", format!("`{method}:` is not a selection method"));
    match did_you_mean(method, METHODS) {
        Some(near) => problem.help(format!("did you mean `{near}:`?")),
        None => problem.help(format!("the methods are {}", METHODS.join(", "))),
    }
}
