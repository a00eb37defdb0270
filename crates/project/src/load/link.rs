//! Refs and sources become edges.

use wardlake_core::{Diagnostic, Location};

use super::{Loader, parse_pass::find_word as find};
use crate::{
    Node, ResourceType, UniqueId,
    jinja::{RefCall, SourceCall},
    lookup::Found,
};

/// Someone who calls `ref` and `source`.
struct Caller<'a> {
    package: &'a str,
    what: String,
    refs: &'a [RefCall],
    sources: &'a [SourceCall],
    /// Where the calls stand, and the text they stand in with the line it starts on.
    location: &'a Location,
    text: Option<(&'a str, usize)>,
}

/// The edges of one caller, or why it cannot run.
#[derive(Default)]
struct Links {
    nodes: Vec<UniqueId>,
    problems: Vec<Diagnostic>,
    needs_disabled: bool,
}

impl Loader {
    /// Resolves every call. A test of something that is switched off or gone is switched off too, as dbt does; for
    /// everything else that is an error.
    pub(super) fn link(&mut self) {
        let ids: Vec<UniqueId> = self.nodes.keys().cloned().collect();
        for id in ids {
            let Some(node) = self.nodes.get(&id) else { continue };
            let links = self.links(&caller(node));
            let trimmed_to = self.trimmed_to(node);
            self.settle(&id, links);
            match (trimmed_to, self.nodes.get_mut(&id)) {
                (Ok(view), Some(node)) => node.trimmed_to = view,
                (Err(problem), _) => self.problems.push(problem),
                (Ok(_), None) => {}
            }
        }
        let of_identity = self.identity_problems();
        self.problems.0.extend(of_identity);
        let ids: Vec<UniqueId> = self.exposures.keys().cloned().collect();
        for id in ids {
            let Some(exposure) = self.exposures.get(&id) else { continue };
            let links = self.links(&Caller {
                package: &exposure.package,
                what: format!("exposure `{}`", exposure.name),
                refs: &exposure.refs,
                sources: &exposure.sources,
                location: &exposure.location,
                text: None,
            });
            self.problems.0.extend(links.problems);
            if let Some(exposure) = self.exposures.get_mut(&id) {
                exposure.depends_on.nodes = links.nodes;
            }
        }
    }

    /// The view that `trimmed_to` of a model names.
    fn trimmed_to(&self, node: &Node) -> Result<Option<UniqueId>, Diagnostic> {
        let Some(named) = node.config.wardlake.get("trimmed_to") else { return Ok(None) };
        let name = named.as_str().unwrap_or_default();
        let call = RefCall { package: None, name: name.to_owned(), version: None, line: node.first_line };
        let found = match self.lookup.find_ref(&node.package, &call) {
            Found::Here(id) => self.nodes.get(&id),
            _ => None,
        };
        let (message, help) = match found {
            Some(view) if view.config.materialized == "view" => return Ok(Some(view.unique_id.clone())),
            Some(_) => (
                format!("`{name}` is not a view"),
                "name the view over this model that shows the rows to be kept".to_owned(),
            ),
            None => (format!("there is no model `{name}`"), self.lookup.ref_help(&call)),
        };
        let problem = Diagnostic::error("WL-P026", format!("{}: trimmed_to: {message}", node.name)).help(help);
        Err(placed(problem, &caller(node), call.line, name))
    }

    /// The models that `identity` names are there, and one model of the project declares it: a decision is about one table's records.
    /// They make no edge: the pairs to review are made from the persons.
    fn identity_problems(&self) -> Vec<Diagnostic> {
        let declared: Vec<_> = self.nodes.values().filter_map(|node| Some((node, node.identity.as_deref()?))).collect();
        let mut problems = Vec::new();
        let mut wrong = |node: &Node, at: &Location, message: String, help: String| {
            let problem = Diagnostic::error("WL-P026", format!("{}: identity: {message}", node.name)).help(help);
            problems.push(problem.at(&at.file, at.line, at.column));
        };
        for &(node, identity) in &declared {
            for call in [&identity.decisions, &identity.review] {
                if !matches!(self.lookup.find_ref(&node.package, call), Found::Here(_)) {
                    let message = format!("there is no model `{}`", call.name);
                    wrong(node, &identity.location, message, self.lookup.ref_help(call));
                }
            }
        }
        if let [(first, _), others @ ..] = declared.as_slice() {
            for &(node, identity) in others {
                let message = format!("`{}` declares it as well", first.name);
                let help = "decisions are about the records of one model: take one of the two out".to_owned();
                wrong(node, &identity.location, message, help);
            }
        }
        problems
    }

    fn settle(&mut self, id: &UniqueId, links: Links) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        node.depends_on.nodes = links.nodes;
        let is_test = node.resource_type == ResourceType::Test;
        if !is_test || (links.problems.is_empty() && !links.needs_disabled) {
            self.problems.0.extend(links.problems);
            return;
        }
        for mut problem in links.problems {
            problem.severity = wardlake_core::Severity::Warning;
            problem.message.push_str("; the test is left out");
            self.problems.push(problem);
        }
        if let Some(mut node) = self.nodes.remove(id) {
            node.config.enabled = false;
            self.disabled.push(node);
        }
    }

    fn links(&self, caller: &Caller<'_>) -> Links {
        let mut links = Links::default();
        for call in caller.refs {
            match self.lookup.find_ref(caller.package, call) {
                Found::Here(id) => add(&mut links.nodes, id),
                Found::Broken => links.needs_disabled = true,
                Found::Disabled => {
                    links.needs_disabled = true;
                    if !caller.what.starts_with("test") {
                        let message = format!("{} refers to `{}`, which is disabled", caller.what, call.name);
                        let problem = Diagnostic::error("WL-P015", message).help("enable it, or disable this one too");
                        links.problems.push(placed(problem, caller, call.line, &call.name));
                    }
                }
                Found::Missing => {
                    let message = format!("{} refers to `{}`, which does not exist", caller.what, call.name);
                    let problem = Diagnostic::error("WL-P014", message).help(self.lookup.ref_help(call));
                    links.problems.push(placed(problem, caller, call.line, &call.name));
                }
            }
        }
        for call in caller.sources {
            let name = format!("{}.{}", call.source, call.table);
            match self.lookup.find_source(caller.package, call) {
                Found::Here(id) => add(&mut links.nodes, id),
                Found::Broken => links.needs_disabled = true,
                Found::Disabled => {
                    links.needs_disabled = true;
                    if !caller.what.starts_with("test") {
                        let message = format!("{} reads source `{name}`, which is disabled", caller.what);
                        let problem = Diagnostic::error("WL-P015", message).help("enable it, or disable this one too");
                        links.problems.push(placed(problem, caller, call.line, &call.table));
                    }
                }
                Found::Missing => {
                    let message = format!("{} reads source `{name}`, which does not exist", caller.what);
                    let problem = Diagnostic::error("WL-P016", message).help(self.lookup.source_help(call));
                    links.problems.push(placed(problem, caller, call.line, &call.table));
                }
            }
        }
        links
    }
}

fn caller(node: &Node) -> Caller<'_> {
    Caller {
        package: &node.package,
        what: format!("{} `{}`", node.resource_type, node.name),
        refs: &node.refs,
        sources: &node.sources,
        location: &node.location,
        text: node.template.is_none().then_some((node.raw_code.as_str(), node.first_line)),
    }
}

fn add(nodes: &mut Vec<UniqueId>, id: UniqueId) {
    if !nodes.contains(&id) {
        nodes.push(id);
    }
}

/// The call's own line and column where its text is at hand, else where its owner is written.
fn placed(problem: Diagnostic, caller: &Caller<'_>, line: usize, name: &str) -> Diagnostic {
    let place = caller.location;
    let Some((text, first_line)) = caller.text else { return problem.at(&place.file, place.line, place.column) };
    let on_line = line
        .checked_sub(first_line)
        .and_then(|skip| text.lines().nth(skip))
        .and_then(|code| find_word(code, name, line));
    match on_line.or_else(|| find_word(text, name, first_line)) {
        Some((line, column)) => problem.at(&place.file, line, column),
        None => problem.at(&place.file, place.line, place.column),
    }
}

/// Where a name stands in quotes, or else at all: short names are parts of many words.
fn find_word(text: &str, name: &str, first_line: usize) -> Option<(usize, usize)> {
    let quoted =
        |quote: char| find(text, &format!("{quote}{name}{quote}"), first_line).map(|(line, column)| (line, column + 1));
    quoted('\'').or_else(|| quoted('"')).or_else(|| find(text, name, first_line))
}
