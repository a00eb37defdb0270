//! Finds what `ref` and `source` name.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wardlake_core::did_you_mean;

use crate::{
    Node, Relation, Source, UniqueId,
    jinja::{RefCall, SourceCall},
};

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Here(UniqueId),
    Disabled,
    Missing,
    /// Its own file could not be read, which is reported there: whoever calls it is not to blame.
    Broken,
}

/// What a render needs to turn calls into relations. Shared, since a template's values may outlive any borrow.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) lookup: Lookup,
    /// Id → relation, and whether it is an ephemeral model.
    pub(crate) relations: BTreeMap<UniqueId, (Relation, bool)>,
    /// Source → the zone of local times in what it receives.
    pub(crate) time_zones: BTreeMap<UniqueId, String>,
}

/// Names → ids. A name is looked up in the root project, then in the caller's package, then anywhere.
#[derive(Debug, Default)]
pub(crate) struct Lookup {
    root: String,
    nodes: HashMap<String, Vec<(String, UniqueId)>>,
    sources: HashMap<(String, String), Vec<(String, UniqueId)>>,
    broken_nodes: BTreeSet<String>,
    is_missing_properties: bool,
    disabled_nodes: HashMap<String, Vec<String>>,
    disabled_sources: HashMap<(String, String), Vec<String>>,
}

impl Lookup {
    pub(crate) fn new(root: &str) -> Self {
        Self { root: root.to_owned(), ..Self::default() }
    }

    pub(crate) fn add_node(&mut self, node: &Node) {
        if node.resource_type.is_refable() {
            let entry = (node.package.clone(), node.unique_id.clone());
            self.nodes.entry(node.name.clone()).or_default().push(entry);
        }
    }

    pub(crate) fn add_source(&mut self, source: &Source) {
        let key = (source.source_name.clone(), source.name.clone());
        self.sources.entry(key).or_default().push((source.package.clone(), source.unique_id.clone()));
    }

    pub(crate) fn add_broken_node(&mut self, name: &str) {
        self.broken_nodes.insert(name.to_owned());
    }

    /// Some properties file could not be read: sources may be missing for that reason alone.
    pub(crate) fn note_missing_properties(&mut self) {
        self.is_missing_properties = true;
    }

    pub(crate) fn add_disabled_node(&mut self, package: &str, name: &str) {
        self.disabled_nodes.entry(name.to_owned()).or_default().push(package.to_owned());
    }

    pub(crate) fn add_disabled_source(&mut self, package: &str, source: &str, table: &str) {
        self.disabled_sources.entry((source.to_owned(), table.to_owned())).or_default().push(package.to_owned());
    }

    pub(crate) fn find_ref(&self, from: &str, call: &RefCall) -> Found {
        let versioned = call.version.as_ref().map(|v| format!("{}_v{v}", call.name));
        for name in versioned.iter().chain([&call.name]) {
            if let Some(id) = self.pick(self.nodes.get(name), from, call.package.as_deref()) {
                return Found::Here(id);
            }
        }
        match self.disabled_nodes.get(&call.name) {
            Some(packages) if call.package.as_ref().is_none_or(|p| packages.contains(p)) => Found::Disabled,
            _ if self.broken_nodes.contains(&call.name) => Found::Broken,
            _ => Found::Missing,
        }
    }

    pub(crate) fn find_source(&self, from: &str, call: &SourceCall) -> Found {
        let key = (call.source.clone(), call.table.clone());
        match self.pick(self.sources.get(&key), from, None) {
            Some(id) => Found::Here(id),
            None if self.disabled_sources.contains_key(&key) => Found::Disabled,
            None if self.is_missing_properties => Found::Broken,
            None => Found::Missing,
        }
    }

    fn pick(
        &self,
        candidates: Option<&Vec<(String, UniqueId)>>,
        from: &str,
        package: Option<&str>,
    ) -> Option<UniqueId> {
        let candidates = candidates?;
        let of = |wanted: &str| candidates.iter().find(|(p, _)| p == wanted);
        let found = match package {
            Some(package) => of(package),
            None => of(&self.root).or_else(|| of(from)).or_else(|| candidates.first()),
        };
        found.map(|(_, id)| id.clone())
    }

    /// What the writer of an unknown `ref` may have meant.
    pub(crate) fn ref_help(&self, call: &RefCall) -> String {
        if let Some(package) = &call.package
            && let Some(others) = self.nodes.get(&call.name)
        {
            let places: Vec<&str> = others.iter().map(|(p, _)| p.as_str()).collect();
            return format!("`{}` is not in package `{package}`, but in {}", call.name, places.join(", "));
        }
        let versions = self.versions(&call.name);
        if !versions.is_empty() {
            return format!("model versions are not supported: name one of {}", versions.join(", "));
        }
        match did_you_mean(&call.name, self.nodes.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "add the model, seed or snapshot, or correct the name".to_owned(),
        }
    }

    /// The models that dbt's versions of one would be: `dim_v1`, `dim_v2`, ….
    fn versions(&self, name: &str) -> Vec<String> {
        let is_version = |other: &&String| {
            let number = other.strip_prefix(name).and_then(|rest| rest.strip_prefix("_v"));
            number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let mut versions: Vec<String> = self.nodes.keys().filter(is_version).map(|name| format!("`{name}`")).collect();
        versions.sort();
        versions
    }

    /// What the writer of an unknown `source` may have meant.
    pub(crate) fn source_help(&self, call: &SourceCall) -> String {
        let mut by_source: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (source, table) in self.sources.keys() {
            by_source.entry(source).or_default().push(table);
        }
        match by_source.get(call.source.as_str()) {
            Some(tables) => match did_you_mean(&call.table, tables.iter().copied()) {
                Some(near) => format!("did you mean `source('{}', '{near}')`?", call.source),
                None => format!("source `{}` has no table `{}`; add it there", call.source, call.table),
            },
            None => match did_you_mean(&call.source, by_source.keys().copied()) {
                Some(near) => format!("did you mean source `{near}`?"),
                None => format!("declare source `{}` in a properties file", call.source),
            },
        }
    }
}
