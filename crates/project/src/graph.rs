//! Who is made from whom.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::UniqueId;

/// The project's graph: sources, nodes and exposures, without cycles.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    parents: BTreeMap<UniqueId, Vec<UniqueId>>,
    children: BTreeMap<UniqueId, Vec<UniqueId>>,
    order: Vec<UniqueId>,
    rank: BTreeMap<UniqueId, usize>,
}

impl Graph {
    /// Builds the graph from each node's parents, or returns a cycle: its nodes in order, the first one repeated last.
    pub(crate) fn new(parents: BTreeMap<UniqueId, Vec<UniqueId>>) -> Result<Self, Vec<UniqueId>> {
        let mut children: BTreeMap<UniqueId, Vec<UniqueId>> =
            parents.keys().map(|id| (id.clone(), Vec::new())).collect();
        let mut waiting: BTreeMap<&str, usize> = BTreeMap::new();
        for (id, own) in &parents {
            waiting.insert(id, own.len());
            for parent in own {
                children.entry(parent.clone()).or_default().push(id.clone());
            }
        }
        // The smallest id first among those that are ready, so that the order never depends on hashing.
        let mut ready: BTreeSet<&str> = waiting.iter().filter(|(_, n)| **n == 0).map(|(id, _)| *id).collect();
        let mut order = Vec::with_capacity(parents.len());
        while let Some(id) = ready.pop_first() {
            order.push(id.to_owned());
            for child in children.get(id).map(Vec::as_slice).unwrap_or_default() {
                if let Some(left) = waiting.get_mut(child.as_str()) {
                    *left -= 1;
                    if *left == 0 {
                        ready.insert(child);
                    }
                }
            }
        }
        if order.len() < parents.len() {
            let done: BTreeSet<&str> = order.iter().map(String::as_str).collect();
            return Err(find_cycle(&parents, &done));
        }
        let rank = order.iter().enumerate().map(|(i, id)| (id.clone(), i)).collect();
        Ok(Self { parents, children, order, rank })
    }

    /// Direct parents, in the order of their first use.
    pub fn parents(&self, id: &str) -> &[UniqueId] {
        self.parents.get(id).map(Vec::as_slice).unwrap_or_default()
    }

    /// Direct children, by id.
    pub fn children(&self, id: &str) -> &[UniqueId] {
        self.children.get(id).map(Vec::as_slice).unwrap_or_default()
    }

    /// Every id, each after all of its parents.
    pub fn topological_order(&self) -> &[UniqueId] {
        &self.order
    }

    /// Sorts ids so that each stands after all of its ancestors.
    pub fn sort(&self, ids: impl IntoIterator<Item = UniqueId>) -> Vec<UniqueId> {
        let mut sorted: Vec<UniqueId> = ids.into_iter().collect();
        sorted.sort_by_key(|id| self.rank.get(id).copied().unwrap_or(usize::MAX));
        sorted
    }

    /// Everything above `from`, at most `depth` steps away; without `from` itself.
    pub fn ancestors<'a>(
        &'a self,
        from: impl IntoIterator<Item = &'a UniqueId>,
        depth: Option<usize>,
    ) -> BTreeSet<UniqueId> {
        self.reach(from, depth, &self.parents)
    }

    /// Everything below `from`, at most `depth` steps away; without `from` itself.
    pub fn descendants<'a>(
        &'a self,
        from: impl IntoIterator<Item = &'a UniqueId>,
        depth: Option<usize>,
    ) -> BTreeSet<UniqueId> {
        self.reach(from, depth, &self.children)
    }

    fn reach<'a>(
        &'a self,
        from: impl IntoIterator<Item = &'a UniqueId>,
        depth: Option<usize>,
        edges: &'a BTreeMap<UniqueId, Vec<UniqueId>>,
    ) -> BTreeSet<UniqueId> {
        let mut queue: VecDeque<(&str, usize)> = from.into_iter().map(|id| (id.as_str(), 0)).collect();
        let mut seen: BTreeSet<&str> = queue.iter().map(|(id, _)| *id).collect();
        let start: BTreeSet<&str> = seen.clone();
        let mut reached_again = BTreeSet::new();
        while let Some((id, steps)) = queue.pop_front() {
            if depth.is_some_and(|limit| steps >= limit) {
                continue;
            }
            for next in edges.get(id).map(Vec::as_slice).unwrap_or_default() {
                if start.contains(next.as_str()) {
                    reached_again.insert(next.as_str());
                }
                if seen.insert(next) {
                    queue.push_back((next, steps + 1));
                }
            }
        }
        seen.into_iter().filter(|id| !start.contains(id) || reached_again.contains(id)).map(str::to_owned).collect()
    }
}

fn find_cycle(parents: &BTreeMap<UniqueId, Vec<UniqueId>>, done: &BTreeSet<&str>) -> Vec<UniqueId> {
    let Some(start) = parents.keys().find(|id| !done.contains(id.as_str())) else { return Vec::new() };
    let mut path = vec![start.clone()];
    // Every node left over has a parent left over, so this walk must come back to where it has been.
    loop {
        let Some(last) = path.last() else { return path };
        let next = parents
            .get(last)
            .and_then(|own| own.iter().find(|p| !done.contains(p.as_str()) && parents.contains_key(*p)));
        let Some(next) = next.cloned() else { return path };
        if let Some(at) = path.iter().position(|id| *id == next) {
            let mut cycle = path.split_off(at);
            cycle.push(next);
            // Walked from child to parent; people read from parent to child.
            cycle.reverse();
            return cycle;
        }
        path.push(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(text: &str) -> BTreeMap<UniqueId, Vec<UniqueId>> {
        let mut map: BTreeMap<UniqueId, Vec<UniqueId>> = BTreeMap::new();
        for part in text.split_whitespace() {
            let (parent, child) = part.split_once('>').unwrap();
            map.entry(parent.to_owned()).or_default();
            map.entry(child.to_owned()).or_default().push(parent.to_owned());
        }
        map
    }

    fn set(ids: &[&str]) -> BTreeSet<UniqueId> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn order_and_reach() {
        let graph = Graph::new(edges("a>b b>c a>d c>e d>e")).unwrap();
        assert_eq!(graph.topological_order(), ["a", "b", "c", "d", "e"]);
        assert_eq!(graph.ancestors([&"e".to_owned()], Some(1)), set(&["c", "d"]));
        assert_eq!(graph.descendants([&"b".to_owned()], None), set(&["c", "e"]));
    }

    #[test]
    fn a_cycle_is_shown_whole() {
        let cycle = Graph::new(edges("x>a a>b b>c c>a")).unwrap_err();
        assert_eq!(cycle.first(), cycle.last());
        assert_eq!(cycle.len(), 4);
    }
}
