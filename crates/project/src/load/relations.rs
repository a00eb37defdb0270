//! Which table each node writes: no other node's, none that a source is loaded into, and none of those that Wardlake keeps itself.
//!
//! What counts is where a node ends up, whatever led there: `schema`, `alias`, `target_schema` of a snapshot, a macro of the project. Names
//! that differ in case only are one table: queries do not tell them apart.

use std::collections::BTreeMap;

use wardlake_core::Diagnostic;

use super::{Loader, parse_pass::find_word};
use crate::{Node, Relation, ResourceType, Source};

/// Schemas of every lake that no node writes to, and what they hold.
const KEPT: [(&str, &str); 5] = [
    ("system", "Wardlake's records of loads, runs and rejected rows"),
    ("quarantine", "the rows that models withhold"),
    ("audit", "what models found in their rows"),
    ("information_schema", "the list of all tables"),
    ("pg_catalog", "the list of all tables for clients of PostgreSQL"),
];

/// A table, by a name that all of its spellings have in common.
type Place = (String, String);

fn place(relation: &Relation) -> Option<Place> {
    Some((relation.schema.as_ref()?.to_lowercase(), relation.identifier.to_lowercase()))
}

/// What a schema holds that Wardlake keeps.
fn kept(relation: &Relation) -> Option<(&'static str, &'static str)> {
    let schema = relation.schema.as_ref()?.to_lowercase();
    KEPT.into_iter().find(|(name, _)| *name == schema)
}

impl Loader {
    /// Reports every node whose table is not its own to write, and every source that would be loaded into one of Wardlake's.
    pub(super) fn check_relations(&mut self) {
        let mut problems: Vec<Diagnostic> = self.loaded().filter_map(source_in_kept).collect();
        let loaded: BTreeMap<Place, &Source> =
            self.loaded().filter_map(|source| Some((place(&source.relation)?, source))).collect();
        let mut written: BTreeMap<Place, &Node> = BTreeMap::new();
        let mut withheld: BTreeMap<String, &Node> = BTreeMap::new();
        for node in self.nodes.values() {
            if node.resource_type.is_refable() || node.resource_type == ResourceType::Test {
                problems.extend(node_in_kept(node));
            }
            let Some(place) = place(&node.relation) else { continue };
            if !node.resource_type.is_refable() && !node.keeps_failures() {
                continue;
            }
            if let Some(source) = loaded.get(&place) {
                problems.push(written_over(node, source));
            }
            if node.audit.is_some()
                && let Some(other) = withheld.insert(place.1.clone(), node)
            {
                problems.push(withheld_twice(other, node));
            }
            match written.get(&place) {
                Some(other) => problems.push(written_twice(other, node)),
                None => {
                    written.insert(place, node);
                }
            }
        }
        self.problems.0.extend(problems);
    }

    /// The sources that Wardlake loads. Others only say where a table is, which a seed of this project may write.
    fn loaded(&self) -> impl Iterator<Item = &Source> {
        self.sources.values().filter(|source| !source.wardlake.is_empty())
    }
}

fn source_in_kept(source: &Source) -> Option<Diagnostic> {
    let (schema, holds) = kept(&source.relation)?;
    let message = format!(
        "source `{}.{}` would be loaded into schema `{schema}`, which holds {holds}",
        source.source_name, source.name
    );
    let at = &source.location;
    let problem = Diagnostic::error("WL-P027", message).at(&at.file, at.line, at.column);
    Some(problem.help("give the source another `schema`, for example bronze"))
}

fn node_in_kept(node: &Node) -> Option<Diagnostic> {
    let (schema, holds) = kept(&node.relation)?;
    let message = format!("{} would be written to schema `{schema}`, which holds {holds}", named(node));
    let help = match node.resource_type {
        ResourceType::Snapshot => "give it another `schema` (or `target_schema`)",
        ResourceType::Test => "give the tests another `schema`: their failing rows are tables there",
        _ => "give it another `schema`; `generate_schema_name` has the last word on it",
    };
    Some(at_setting(Diagnostic::error("WL-P027", message).help(help), node, &["target_schema", "schema"]))
}

fn written_over(node: &Node, source: &Source) -> Diagnostic {
    let message = format!(
        "{} would be written to {}, which source `{}.{}` is loaded into",
        named(node),
        shown(&node.relation),
        source.source_name,
        source.name
    );
    let help = format!("give it another `alias` or `schema`; the source is at {}", source.location);
    at_setting(Diagnostic::error("WL-P027", message).help(help), node, &["alias", "target_schema", "schema"])
}

fn written_twice(other: &Node, node: &Node) -> Diagnostic {
    let (one, two, table) = (&other.unique_id, &node.unique_id, shown(&node.relation));
    let problem = Diagnostic::error("WL-P011", format!("`{one}` and `{two}` would both be written to {table}"));
    let at = &node.location;
    problem.at(&at.file, at.line, at.column).help("give one of them another `alias` or `schema`")
}

fn withheld_twice(other: &Node, node: &Node) -> Diagnostic {
    let (one, two, name) = (&other.unique_id, &node.unique_id, &node.relation.identifier);
    let message = format!("`{one}` and `{two}` would both keep the rows they withhold in quarantine.{name}");
    let at = &node.location;
    let problem = Diagnostic::error("WL-P011", message).at(&at.file, at.line, at.column);
    problem.help("give one of them another `alias`: the tables beside a model bear its name, whatever its schema")
}

fn named(node: &Node) -> String {
    format!("{} `{}`", node.resource_type, node.name)
}

fn shown(relation: &Relation) -> String {
    format!("{}.{}", relation.schema.as_deref().unwrap_or_default(), relation.identifier)
}

/// Where the file itself makes one of these settings, else where the node begins.
fn at_setting(problem: Diagnostic, node: &Node, settings: &[&str]) -> Diagnostic {
    let mut written = settings.iter().flat_map(|name| [format!("{name}="), format!("{name} =")]);
    // The code of a generic test is made up.
    let code = if node.template.is_none() { node.raw_code.as_str() } else { "" };
    let found = written.find_map(|text| find_word(code, &text, node.first_line));
    let at = &node.location;
    let (line, column) = found.unwrap_or((at.line, at.column));
    problem.at(&at.file, line, column)
}
