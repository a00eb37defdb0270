//! Node selection: dbt's words for "which nodes".
//!
//! A blank is a union, a comma an intersection; `+`, `n+` and `@` reach along the graph. Each atom also brings the tests
//! on what it selects (dbt's `eager`), before unions, intersections and exclusions are taken.

pub(crate) mod atom;
mod methods;
pub(crate) mod pattern;
pub(crate) mod selectors;

use std::collections::BTreeSet;

use wardlake_core::{Diagnostic, Diagnostics};

use crate::{Project, ResourceType, UniqueId};
use atom::Atom;

type Ids = BTreeSet<UniqueId>;

impl Project {
    /// The nodes, sources and exposures that `select` names and `exclude` does not, each after all of its ancestors.
    ///
    /// An empty `select` means everything. `types` keeps only those kinds. A criterion that matches nothing is reported
    /// to the log, as dbt does, and is no error.
    pub fn select(
        &self,
        select: &[String],
        exclude: &[String],
        types: Option<&[ResourceType]>,
    ) -> Result<Vec<UniqueId>, Diagnostics> {
        let all = self.selectable();
        let mut warnings = Vec::new();
        let chosen = if select.iter().all(|s| s.trim().is_empty()) {
            all.clone()
        } else {
            self.union(select, &all, &mut warnings)?
        };
        let excluded = self.union(exclude, &all, &mut Vec::new())?;
        for warning in warnings {
            (self.options().log)(&warning.to_string());
        }
        let kept = chosen.into_iter().filter(|id| !excluded.contains(id)).filter(|id| match types {
            Some(types) => self.resource_type(id).is_some_and(|kind| types.contains(&kind)),
            None => true,
        });
        Ok(self.graph().sort(kept))
    }

    /// What an id names.
    pub fn resource_type(&self, id: &str) -> Option<ResourceType> {
        if let Some(node) = self.node(id) {
            return Some(node.resource_type);
        }
        if self.sources().contains_key(id) {
            return Some(ResourceType::Source);
        }
        self.exposures().contains_key(id).then_some(ResourceType::Exposure)
    }

    fn union(&self, specs: &[String], all: &Ids, warnings: &mut Vec<Diagnostic>) -> Result<Ids, Diagnostics> {
        let mut problems = Diagnostics::default();
        let mut chosen = Ids::new();
        for part in specs.iter().flat_map(|s| s.split_whitespace()) {
            let mut meet: Option<Ids> = None;
            for text in part.split(',').filter(|t| !t.is_empty()) {
                match Atom::parse(text).and_then(|atom| self.atom(&atom, all)) {
                    Ok(ids) => {
                        if ids.is_empty() {
                            warnings.push(self.no_match(text));
                        }
                        meet = Some(match meet {
                            Some(before) => before.intersection(&ids).cloned().collect(),
                            None => ids,
                        });
                    }
                    Err(problem) => problems.push(problem),
                }
            }
            chosen.extend(meet.unwrap_or_default());
        }
        if problems.has_errors() { Err(problems) } else { Ok(chosen) }
    }

    /// An atom's nodes with its reach along the graph, and the tests on them.
    pub(crate) fn atom(&self, atom: &Atom, all: &Ids) -> Result<Ids, Diagnostic> {
        if atom.method == "selector" {
            return self.selectors().resolve(self, &atom.value, all);
        }
        let direct = methods::matching(self, atom, all)?;
        let mut chosen = direct.clone();
        let graph = self.graph();
        if atom.with_siblings {
            // `@`: everything below, and all that is needed to build it.
            let below = graph.descendants(&direct, None);
            chosen.extend(below);
            let above = graph.ancestors(&chosen.clone(), None);
            chosen.extend(above);
        }
        if let Some(depth) = atom.parents {
            chosen.extend(graph.ancestors(&direct, depth));
        }
        if let Some(depth) = atom.children {
            chosen.extend(graph.descendants(&direct, depth));
        }
        chosen.retain(|id| all.contains(id));
        let tests: Vec<UniqueId> = chosen
            .iter()
            .flat_map(|id| graph.children(id))
            .filter(|id| self.resource_type(id) == Some(ResourceType::Test))
            .cloned()
            .collect();
        chosen.extend(tests);
        Ok(chosen)
    }

    fn no_match(&self, text: &str) -> Diagnostic {
        let warning = Diagnostic::warning("WL-P031", format!("`{text}` matches nothing"));
        let names = self.nodes().values().filter(|n| n.resource_type.is_refable()).map(|n| n.name.as_str());
        match wardlake_core::did_you_mean(text.trim_matches(['+', '@']), names) {
            Some(near) => warning.help(format!("did you mean `{near}`?")),
            None => warning,
        }
    }
}
