//! A validated project.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use serde_json::{Map, Value as Json, json};
use wardlake_core::{Diagnostic, Diagnostics};

use crate::{
    AlertRules, Doc, Exposure, Graph, LoadOptions, MacroPatch, Node, Package, Relation, ResourceType, Source, Target,
    UniqueId,
    audit::RelationCall,
    jinja::{Jinja, MacroDef, Scope},
    load::{self, Loader},
    lookup::{Catalog, Found},
    node_json,
    select::selectors::Selectors,
    target::DATABASE,
};

/// A project folder, read and checked: every ref resolves, no names clash, and there are no circles.
///
/// ```no_run
/// use wardlake_project::{LoadOptions, Project, ResourceType};
///
/// let project = Project::load(LoadOptions::new("my_hospital"))?;
/// let models = project.select(&["tag:nightly+".to_owned()], &[], Some(&[ResourceType::Model]))?;
/// # Ok::<(), wardlake_core::Diagnostics>(())
/// ```
pub struct Project {
    options: LoadOptions,
    target: Target,
    packages: Vec<Package>,
    jinja: Jinja,
    scope: Arc<Scope>,
    execute_scope: OnceLock<Arc<Scope>>,
    nodes: BTreeMap<UniqueId, Node>,
    disabled: Vec<Node>,
    sources: BTreeMap<UniqueId, Source>,
    exposures: BTreeMap<UniqueId, Exposure>,
    docs: BTreeMap<UniqueId, Doc>,
    macro_patches: BTreeMap<UniqueId, MacroPatch>,
    catalog: Arc<Catalog>,
    graph: Graph,
    selectors: Selectors,
    alerts: AlertRules,
    warnings: Vec<Diagnostic>,
}

impl Project {
    /// Reads and checks a project. The error holds every problem found, warnings among them.
    pub fn load(options: LoadOptions) -> Result<Self, Diagnostics> {
        load::load(options)
    }

    pub(crate) fn assemble(loader: Loader, graph: Graph, selectors: Selectors, alerts: AlertRules) -> Self {
        let relations = loader
            .nodes
            .values()
            .map(|n| (n.unique_id.clone(), (n.relation.clone(), n.config.is_ephemeral())))
            .chain(loader.sources.values().map(|s| (s.unique_id.clone(), (s.relation.clone(), false))))
            .collect();
        let time_zone = |source: &Source| Some(source.wardlake.get("time_zone")?.as_str()?.to_owned());
        let time_zones = loader.sources.values().filter_map(|s| Some((s.unique_id.clone(), time_zone(s)?))).collect();
        let catalog = Arc::new(Catalog { lookup: loader.lookup, relations, time_zones });
        Self {
            options: loader.options,
            target: loader.target,
            packages: loader.packages,
            jinja: loader.templates.jinja,
            scope: loader.templates.scope,
            execute_scope: OnceLock::new(),
            nodes: loader.nodes,
            disabled: loader.disabled,
            sources: loader.sources,
            exposures: loader.exposures,
            docs: loader.docs,
            macro_patches: loader.macro_patches,
            catalog,
            graph,
            selectors,
            alerts,
            warnings: loader.problems.0,
        }
    }

    /// What is odd but does not stop the work.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// The project folder, absolute.
    pub fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// The folder of artifacts and compiled SQL.
    pub fn target_dir(&self) -> PathBuf {
        self.options.dir.join(&self.root().target_path)
    }

    /// The folders `clean` removes, relative to the project folder.
    pub fn clean_targets(&self) -> &[String] {
        &self.root().clean_targets
    }

    /// The project itself, as a package.
    pub fn root(&self) -> &Package {
        &self.packages[0]
    }

    /// The project and its packages, the project first.
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// The environment it was loaded for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The lake: a URL or an absolute path.
    pub fn lake_url(&self) -> &str {
        &self.target.lake
    }

    /// What it was loaded with.
    pub fn options(&self) -> &LoadOptions {
        &self.options
    }

    /// Models, seeds, snapshots, tests, analyses and run hooks that are enabled.
    pub fn nodes(&self) -> &BTreeMap<UniqueId, Node> {
        &self.nodes
    }

    /// One of [`nodes`](Self::nodes).
    pub fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// What a relation named in YAML stands for, as seen from a package: its id and its place in the lake.
    pub fn find(&self, package: &str, call: &RelationCall) -> Option<(&UniqueId, &Relation)> {
        let found = match call {
            RelationCall::Ref(call) => self.catalog.lookup.find_ref(package, call),
            RelationCall::Source(call) => self.catalog.lookup.find_source(package, call),
        };
        let Found::Here(id) = found else { return None };
        self.catalog.relations.get_key_value(&id).map(|(id, (relation, _))| (id, relation))
    }

    /// What people are told while a server runs.
    pub fn alerts(&self) -> &AlertRules {
        &self.alerts
    }

    /// Nodes that are switched off.
    pub fn disabled(&self) -> &[Node] {
        &self.disabled
    }

    /// Every table of every source.
    pub fn sources(&self) -> &BTreeMap<UniqueId, Source> {
        &self.sources
    }

    /// One of [`sources`](Self::sources).
    pub fn source(&self, id: &str) -> Option<&Source> {
        self.sources.get(id)
    }

    /// Exposures.
    pub fn exposures(&self) -> &BTreeMap<UniqueId, Exposure> {
        &self.exposures
    }

    /// Docs blocks.
    pub fn docs(&self) -> &BTreeMap<UniqueId, Doc> {
        &self.docs
    }

    /// Macros of all packages, Wardlake's own among them.
    pub fn macros(&self) -> impl Iterator<Item = &MacroDef> {
        self.jinja.macros()
    }

    /// What properties say about a macro.
    pub fn macro_patch(&self, id: &str) -> Option<&MacroPatch> {
        self.macro_patches.get(id)
    }

    /// Who is made from whom.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The `on-run-start` hooks in order: the project's first, then its packages'.
    pub fn on_run_start(&self) -> Vec<&Node> {
        self.hooks("on-run-start")
    }

    /// The `on-run-end` hooks in order.
    pub fn on_run_end(&self) -> Vec<&Node> {
        self.hooks("on-run-end")
    }

    fn hooks(&self, tag: &str) -> Vec<&Node> {
        let of = |package: &str| {
            let mut hooks: Vec<&Node> = self
                .nodes
                .values()
                .filter(|n| {
                    n.resource_type == ResourceType::Operation
                        && n.package == package
                        && n.tags.iter().any(|t| t == tag)
                })
                .collect();
            hooks.sort_by_key(|n| n.index);
            hooks
        };
        self.packages.iter().flat_map(|p| of(&p.name)).collect()
    }

    /// How many of each kind there are (`model` → 12), kinds without any left out.
    pub fn inventory(&self) -> BTreeMap<String, usize> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for node in self.nodes.values() {
            *counts.entry(node.resource_type.to_string()).or_default() += 1;
        }
        counts.insert("source".to_owned(), self.sources.len());
        counts.insert("exposure".to_owned(), self.exposures.len());
        counts.insert("macro".to_owned(), self.jinja.macros().count());
        counts.retain(|_, n| *n > 0);
        counts
    }

    pub(crate) fn jinja(&self) -> &Jinja {
        &self.jinja
    }

    pub(crate) fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    pub(crate) fn selectors(&self) -> &Selectors {
        &self.selectors
    }

    /// The scope of the second pass: the same, with the whole graph in it. Built when something is first compiled.
    pub(crate) fn execute_scope(&self) -> &Arc<Scope> {
        self.execute_scope.get_or_init(|| {
            let nodes: Map<String, Json> =
                self.nodes.iter().map(|(id, n)| (id.clone(), Json::Object(node_json::brief(n)))).collect();
            let sources: Map<String, Json> = self.sources.iter().map(|(id, s)| (id.clone(), source_json(s))).collect();
            let exposures: Map<String, Json> = self
                .exposures
                .iter()
                .map(|(id, e)| (id.clone(), json!({"unique_id": e.unique_id, "name": e.name, "type": e.exposure_type})))
                .collect();
            Arc::new(Scope {
                project_name: self.scope.project_name.clone(),
                target: self.scope.target.clone(),
                cli_vars: self.scope.cli_vars.clone(),
                package_vars: self.scope.package_vars.clone(),
                env: self.scope.env.clone(),
                invocation_id: self.scope.invocation_id.clone(),
                run_started_at: self.scope.run_started_at,
                flags: self.scope.flags.clone(),
                graph: json!({"nodes": nodes, "sources": sources, "exposures": exposures}),
                log: self.scope.log.clone(),
            })
        })
    }

    /// All ids `select` chooses from: everything but run hooks.
    pub(crate) fn selectable(&self) -> BTreeSet<UniqueId> {
        self.graph.topological_order().iter().filter(|id| !id.starts_with("operation.")).cloned().collect()
    }
}

pub(crate) fn source_json(source: &Source) -> Json {
    json!({
        "unique_id": source.unique_id, "resource_type": "source", "source_name": source.source_name,
        "name": source.name, "identifier": source.identifier, "package_name": source.package,
        "database": source.database.as_deref().unwrap_or(DATABASE), "schema": source.relation.schema,
        "fqn": source.fqn, "tags": source.tags, "meta": source.meta, "loader": source.loader,
        "description": source.description, "columns": node_json::columns(&source.columns),
    })
}
