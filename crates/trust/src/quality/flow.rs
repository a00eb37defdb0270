//! The way of the rows as a picture has it: tables in layers, what went from one to the next, what was held back.

use std::collections::{BTreeMap, BTreeSet};

use wardlake_project::{Node, Project, ResourceType};

use super::{
    records::Records,
    report::{AccountedTable, Flow, FlowLink, FlowNode},
};

/// Tables of a layer that are drawn one by one; the rest is one bar.
const DRAWN: usize = 14;

/// The project's word on tables, as far as the picture needs it.
pub(crate) struct Map<'a> {
    project: &'a Project,
}

impl<'a> Map<'a> {
    pub(crate) fn new(project: &'a Project) -> Self {
        Self { project }
    }

    /// The model a record speaks of by its name or its table's.
    pub(crate) fn model(&self, name: &str) -> Option<&'a Node> {
        let is_built = |node: &&Node| node.resource_type != ResourceType::Test;
        let nodes = || self.project.nodes().values().filter(is_built);
        nodes().find(|node| node.name == name).or_else(|| nodes().find(|node| node.alias == name))
    }

    /// `schema.name` of a model.
    pub(crate) fn relation(&self, name: &str) -> Option<String> {
        self.model(name).map(relation)
    }

    /// `<source>.<table>` → `schema.name`.
    fn sources(&self) -> BTreeMap<String, String> {
        let sources = self.project.sources().values();
        sources
            .map(|source| {
                let relation = &source.relation;
                let schema = relation.schema.as_deref().unwrap_or_default();
                (format!("{}.{}", source.source_name, source.name), format!("{schema}.{}", relation.identifier))
            })
            .collect()
    }
}

fn relation(node: &Node) -> String {
    match &node.relation.schema {
        Some(schema) => format!("{schema}.{}", node.relation.identifier),
        None => node.relation.identifier.clone(),
    }
}

/// The picture of the accounted tables, of what they are made from, and of what is made from them.
pub(crate) fn flow(accounting: &[AccountedTable], records: &Records, map: &Map<'_>) -> Flow {
    if accounting.is_empty() {
        return Flow::default();
    }
    let mut picture = Picture::default();
    picture.accounted(accounting);
    picture.rejected(records, map);
    picture.downstream(accounting, records, map);
    picture.settle()
}

/// A picture being put together by table name.
#[derive(Default)]
struct Picture {
    nodes: BTreeMap<String, FlowNode>,
    links: BTreeMap<(String, String), Option<u64>>,
}

impl Picture {
    fn node(&mut self, name: &str, layer: usize) -> &mut FlowNode {
        self.nodes.entry(name.to_owned()).or_insert_with(|| FlowNode {
            name: name.to_owned(),
            layer,
            rows: None,
            quarantined: 0,
            duplicate: 0,
            filtered: 0,
            rejected: 0,
        })
    }

    fn accounted(&mut self, accounting: &[AccountedTable]) {
        let by_relation: BTreeMap<&str, &AccountedTable> =
            accounting.iter().map(|table| (table.relation.as_str(), table)).collect();
        // A model of a model stands one layer further; a chain cannot be longer than there are tables.
        let layer = |table: &AccountedTable| -> usize {
            let mut layer = 1;
            let mut input = table.input.as_str();
            while let Some(above) = by_relation.get(input).filter(|_| layer <= accounting.len()) {
                layer += 1;
                input = above.input.as_str();
            }
            layer
        };
        // What stands in the schema where the rows arrive last stands in the last layer, however short its way was.
        let last = accounting.iter().map(&layer).max().unwrap_or(1);
        let arrivals =
            accounting.iter().filter(|table| layer(table) == last).filter_map(|table| schema(&table.relation));
        let arrivals: BTreeSet<&str> = arrivals.collect();
        let is_start = |table: &AccountedTable| !by_relation.contains_key(table.input.as_str());
        let started: BTreeSet<&str> =
            accounting.iter().filter(|table| is_start(table)).filter_map(|table| schema(&table.relation)).collect();
        let place = |table: &AccountedTable| match schema(&table.relation) {
            Some(schema) if arrivals.contains(schema) && !started.contains(schema) => last,
            _ => layer(table),
        };
        for table in accounting {
            if !by_relation.contains_key(table.input.as_str()) {
                let input = self.node(&table.input, 0);
                input.rows = input.rows.max(Some(table.rows_in));
            }
            let node = self.node(&table.relation, place(table));
            node.rows = Some(table.rows_out);
            node.quarantined = table.rows_quarantined;
            node.duplicate = table.rows_duplicate;
            node.filtered = table.rows_filtered;
            self.links.insert((table.input.clone(), table.relation.clone()), Some(table.rows_in));
        }
    }

    fn rejected(&mut self, records: &Records, map: &Map<'_>) {
        let relations = map.sources();
        for load in &records.loads {
            if let Some(node) = relations.get(&load.source).and_then(|relation| self.nodes.get_mut(relation)) {
                node.rejected = load.rows_rejected;
            }
        }
    }

    /// Tables of the last layer of the project that are made from accounted ones, joined and aggregated as they may be.
    fn downstream(&mut self, accounting: &[AccountedTable], records: &Records, map: &Map<'_>) {
        let graph = map.project.graph();
        let accounted: BTreeMap<String, &AccountedTable> =
            accounting.iter().filter_map(|table| Some((map.model(&table.model)?.unique_id.clone(), table))).collect();
        let schemas: BTreeSet<&str> =
            accounting.iter().filter_map(|table| table.relation.split_once('.')).map(|(schema, _)| schema).collect();
        let rows: BTreeMap<&str, u64> =
            records.nodes.iter().filter_map(|node| Some((node.unique_id.as_str(), node.row_count?))).collect();
        let last = self.nodes.values().map(|node| node.layer).max().unwrap_or(0) + 1;
        for id in graph.descendants(accounted.keys(), None) {
            let Some(node) = map.project.node(&id).filter(|node| is_table(node)) else { continue };
            let is_elsewhere = node.relation.schema.as_deref().is_some_and(|schema| !schemas.contains(schema));
            if !is_elsewhere || accounted.contains_key(&id) {
                continue;
            }
            let name = relation(node);
            self.node(&name, last).rows = rows.get(id.as_str()).copied();
            let above = graph.ancestors([&id], None);
            for table in accounted.iter().filter(|(id, _)| above.contains(*id)).map(|(_, table)| table) {
                self.links.insert((table.relation.clone(), name.clone()), None);
            }
        }
    }

    /// Numbers the nodes; what is too much of a layer becomes one node.
    fn settle(mut self) -> Flow {
        let layers = self.nodes.values().map(|node| node.layer).max().unwrap_or(0) + 1;
        let mut renamed: BTreeMap<String, String> = BTreeMap::new();
        for layer in 0..layers {
            let mut names: Vec<&FlowNode> = self.nodes.values().filter(|node| node.layer == layer).collect();
            names.sort_by_key(|node| {
                let held = node.quarantined + node.duplicate + node.filtered + node.rejected;
                std::cmp::Reverse((held, node.rows.unwrap_or(0)))
            });
            let surplus: Vec<String> = match names.len() > DRAWN {
                true => names[DRAWN - 1..].iter().map(|node| node.name.clone()).collect(),
                false => Vec::new(),
            };
            let merged = format!("{} more tables", surplus.len());
            for name in surplus {
                let Some(node) = self.nodes.remove(&name) else { continue };
                // The name holds the layer, so that two layers' rests are two nodes.
                let rest = self.node(&format!("{layer}\u{0}{merged}"), layer);
                rest.rows = Some(rest.rows.unwrap_or(0) + node.rows.unwrap_or(0));
                rest.quarantined += node.quarantined;
                rest.duplicate += node.duplicate;
                rest.filtered += node.filtered;
                rest.rejected += node.rejected;
                renamed.insert(name, format!("{layer}\u{0}{merged}"));
            }
        }
        let mut nodes: Vec<(String, FlowNode)> = self.nodes.into_iter().collect();
        nodes.sort_by(|(_, a), (_, b)| a.layer.cmp(&b.layer).then(b.rows.cmp(&a.rows)).then(a.name.cmp(&b.name)));
        let place: BTreeMap<&str, usize> = nodes.iter().enumerate().map(|(i, (key, _))| (key.as_str(), i)).collect();
        let mut links: BTreeMap<(usize, usize), Option<u64>> = BTreeMap::new();
        for ((from, to), rows) in &self.links {
            let find = |name: &String| place.get(renamed.get(name).unwrap_or(name).as_str()).copied();
            let (Some(from), Some(to)) = (find(from), find(to)) else { continue };
            let sum = links.entry((from, to)).or_insert(None);
            *sum = rows.map(|rows| rows + sum.unwrap_or(0)).or(*sum);
        }
        let names = (0..layers).map(|layer| layer_name(&nodes, layer)).collect();
        let clean = |(_, mut node): (String, FlowNode)| {
            node.name = node.name.rsplit('\u{0}').next().unwrap_or_default().to_owned();
            node
        };
        Flow {
            layers: names,
            links: links.into_iter().map(|((from, to), rows)| FlowLink { from, to, rows }).collect(),
            nodes: nodes.into_iter().map(clean).collect(),
        }
    }
}

fn schema(relation: &str) -> Option<&str> {
    relation.split_once('.').map(|(schema, _)| schema)
}

fn is_table(node: &Node) -> bool {
    match node.resource_type {
        ResourceType::Model => matches!(node.config.materialized.as_str(), "table" | "incremental"),
        ResourceType::Snapshot => true,
        _ => false,
    }
}

/// The schema in which most tables of the layer stand.
fn layer_name(nodes: &[(String, FlowNode)], layer: usize) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, node) in nodes.iter().filter(|(_, node)| node.layer == layer) {
        if let Some((schema, _)) = node.name.split_once('.') {
            *counts.entry(schema).or_default() += 1;
        }
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(schema, _)| schema.to_owned()).unwrap_or_default()
}
