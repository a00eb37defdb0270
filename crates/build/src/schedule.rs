//! The order of a run: which selected node waits for which others.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wardlake_project::{Project, ResourceType, UniqueId};

/// Selected nodes and, per node, the selected nodes that must have ended well before it may start.
pub(crate) struct Schedule {
    /// Topological order, the order of the run's `N of M`.
    pub(crate) order: Vec<UniqueId>,
    waits_for: HashMap<UniqueId, BTreeSet<UniqueId>>,
}

impl Schedule {
    /// Edges that pass through unselected nodes still count. A node also waits for the selected tests of everything upstream of it:
    /// bad rows are found before anything is built on them.
    pub(crate) fn new(project: &Project, order: Vec<UniqueId>) -> Self {
        let selected: BTreeSet<&UniqueId> = order.iter().collect();
        let graph = project.graph();
        // Per node of the whole graph: the nearest selected ancestors.
        let mut nearest: HashMap<&UniqueId, BTreeSet<UniqueId>> = HashMap::new();
        for id in graph.topological_order() {
            let mut ancestors = BTreeSet::new();
            for parent in graph.parents(id) {
                if selected.contains(parent) {
                    ancestors.insert(parent.clone());
                } else if let Some(further) = nearest.get(parent) {
                    ancestors.extend(further.iter().cloned());
                }
            }
            nearest.insert(id, ancestors);
        }
        let mut waits_for: HashMap<UniqueId, BTreeSet<UniqueId>> =
            order.iter().map(|id| (id.clone(), nearest.get(id).cloned().unwrap_or_default())).collect();
        add_test_gates(project, &order, &mut waits_for);
        Self { order, waits_for }
    }

    /// What `id` waits for.
    pub(crate) fn waits_for(&self, id: &UniqueId) -> impl Iterator<Item = &UniqueId> {
        self.waits_for.get(id).into_iter().flatten()
    }
}

fn add_test_gates(project: &Project, order: &[UniqueId], waits_for: &mut HashMap<UniqueId, BTreeSet<UniqueId>>) {
    let is_test = |id: &UniqueId| project.node(id).is_some_and(|node| node.resource_type == ResourceType::Test);
    let mut ancestors: BTreeMap<UniqueId, BTreeSet<UniqueId>> = BTreeMap::new();
    for id in order {
        let mut all = BTreeSet::new();
        for parent in waits_for.get(id).into_iter().flatten() {
            all.insert(parent.clone());
            all.extend(ancestors.get(parent).into_iter().flatten().cloned());
        }
        ancestors.insert(id.clone(), all);
    }
    let mut tests_of: HashMap<&UniqueId, Vec<&UniqueId>> = HashMap::new();
    for test in order.iter().filter(|id| is_test(id)) {
        for parent in ancestors.get(test).into_iter().flatten() {
            if waits_for.get(test).is_some_and(|parents| parents.contains(parent)) {
                tests_of.entry(parent).or_default().push(test);
            }
        }
    }
    let mut gates: Vec<(UniqueId, UniqueId)> = Vec::new();
    for id in order.iter().filter(|id| !is_test(id)) {
        let Some(upstream) = ancestors.get(id) else { continue };
        for parent in waits_for.get(id).into_iter().flatten() {
            for test in tests_of.get(parent).into_iter().flatten() {
                // A test that also reads something beside or below `id` cannot gate it.
                if waits_for.get(*test).is_some_and(|parents| parents.is_subset(upstream)) {
                    gates.push((id.clone(), (*test).clone()));
                }
            }
        }
    }
    for (id, test) in gates {
        waits_for.entry(id).or_default().insert(test);
    }
}
