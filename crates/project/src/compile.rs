//! The second pass: refs become relations, `execute` is true, ephemeral models become CTEs.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value as Json};
use wardlake_core::Diagnostic;

use crate::{
    Adapter, InjectedCte, Node, NodeConfig, Project, Relation, ResourceType, UniqueId, cte,
    jinja::{Captured, Changes, Lookup, Mode, NodeScope, RefCall, RenderRequest, Rendered, Resolve, SourceCall},
    lookup::{Catalog, Found},
    node_json,
};

/// A node ready to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// The query, ephemeral parents in front.
    pub sql: String,
    /// Statements to run before it, in order.
    pub pre_hooks: Vec<String>,
    /// Statements to run after it, in order.
    pub post_hooks: Vec<String>,
    /// Its configuration.
    pub config: NodeConfig,
    /// The ephemeral models [`sql`](Self::sql) holds, innermost first.
    pub injected_ctes: Vec<InjectedCte>,
    /// The relations of which it takes only what it has not consumed yet.
    pub changes: Vec<Changes>,
    /// The rows it looks up by key.
    pub lookups: Vec<Lookup>,
}

impl Project {
    /// Renders a node for execution, its hooks included. Seeds have no SQL of their own.
    ///
    /// Blocks while templates query the warehouse through `adapter`.
    pub fn compile(
        &self,
        id: &UniqueId,
        adapter: &Arc<dyn Adapter>,
        is_incremental: bool,
    ) -> Result<Compiled, Diagnostic> {
        let Some(node) = self.node(id) else {
            return Err(Diagnostic::error("WL-P040", format!("there is no node `{id}`")));
        };
        let mut ctes = Vec::new();
        let (sql, captured) = match node.resource_type {
            ResourceType::Seed => Default::default(),
            _ => {
                let (sql, captured) = self.render_node(node, adapter, is_incremental, &mut ctes, &mut Vec::new())?;
                (cte::inject(&sql, &ctes), captured)
            }
        };
        let hooks = |hooks: &[crate::Hook]| -> Result<Vec<String>, Diagnostic> {
            hooks.iter().map(|hook| self.render_hook(node, &hook.sql, adapter, is_incremental)).collect()
        };
        Ok(Compiled {
            sql,
            pre_hooks: hooks(&node.config.pre_hooks)?,
            post_hooks: hooks(&node.config.post_hooks)?,
            config: node.config.clone(),
            injected_ctes: ctes,
            changes: captured.changes,
            lookups: captured.lookups,
        })
    }

    /// Renders SQL that belongs to no node, as `show --inline` and `sql` have it.
    pub fn compile_inline(&self, text: &str, adapter: &Arc<dyn Adapter>) -> Result<String, Diagnostic> {
        let root = &self.root().name;
        let resolver = Resolving::new(self, root, None);
        let node = NodeScope::default();
        let request = RenderRequest {
            package: root,
            path: std::path::Path::new("inline.sql"),
            first_line: 1,
            text,
            mode: Mode::Execute,
            scope: self.execute_scope(),
            node: Some(&node),
            resolve: Some(&resolver.resolve),
            adapter: Some(adapter),
            context: Map::new(),
        };
        let rendered = self.jinja().render(&request)?;
        let mut ctes = Vec::new();
        self.add_ctes(resolver.used(), adapter, &mut ctes, &mut Vec::new())?;
        Ok(cte::inject(&rendered.text, &ctes))
    }

    /// Renders one hook of a node.
    fn render_hook(
        &self,
        node: &Node,
        sql: &str,
        adapter: &Arc<dyn Adapter>,
        is_incremental: bool,
    ) -> Result<String, Diagnostic> {
        let resolver = Resolving::new(self, &node.package, Some(node));
        self.render_text(node, sql, node.location.line, &resolver, adapter, is_incremental)
            .map(|rendered| rendered.text)
    }

    fn render_node(
        &self,
        node: &Node,
        adapter: &Arc<dyn Adapter>,
        is_incremental: bool,
        ctes: &mut Vec<InjectedCte>,
        open: &mut Vec<UniqueId>,
    ) -> Result<(String, Captured), Diagnostic> {
        let text = node.template.as_deref().unwrap_or(&node.raw_code);
        if !node.has_jinja && node.template.is_none() {
            return Ok((text.to_owned(), Captured::default()));
        }
        let resolver = Resolving::new(self, &node.package, Some(node));
        let rendered = self.render_text(node, text, node.first_line, &resolver, adapter, is_incremental)?;
        self.add_ctes(resolver.used(), adapter, ctes, open)?;
        Ok((rendered.text, rendered.captured))
    }

    fn render_text(
        &self,
        node: &Node,
        text: &str,
        first_line: usize,
        resolver: &Resolving,
        adapter: &Arc<dyn Adapter>,
        is_incremental: bool,
    ) -> Result<Rendered, Diagnostic> {
        let config = match node_json::config(node) {
            Json::Object(config) => config,
            _ => Map::new(),
        };
        let scope = NodeScope {
            unique_id: node.unique_id.clone(),
            model: Json::Object(node_json::brief(node)),
            this: Some(node.relation.clone()),
            config,
            is_incremental,
        };
        let request = RenderRequest {
            package: &node.package,
            path: &node.location.file,
            first_line,
            text,
            mode: Mode::Execute,
            scope: self.execute_scope(),
            node: Some(&scope),
            resolve: Some(&resolver.resolve),
            adapter: Some(adapter),
            context: Map::new(),
        };
        let place = &node.location;
        self.jinja().render(&request).map_err(|problem| match problem.location {
            Some(_) => problem,
            None => problem.at(&place.file, place.line, place.column),
        })
    }

    /// Compiles the ephemeral models `used` and, before each, those it uses itself.
    fn add_ctes(
        &self,
        used: Vec<UniqueId>,
        adapter: &Arc<dyn Adapter>,
        ctes: &mut Vec<InjectedCte>,
        open: &mut Vec<UniqueId>,
    ) -> Result<(), Diagnostic> {
        for id in used {
            if ctes.iter().any(|cte| cte.id == id) || open.contains(&id) {
                continue;
            }
            let Some(node) = self.node(&id) else { continue };
            open.push(id.clone());
            let (sql, _) = self.render_node(node, adapter, false, ctes, open)?;
            open.pop();
            let sql = sql.trim().trim_end_matches(';');
            ctes.push(InjectedCte { id, sql: format!("{} as (\n{sql}\n)", node.relation.identifier) });
        }
        Ok(())
    }
}

/// Resolves calls of one render and notes the ephemeral models among them.
struct Resolver {
    catalog: Arc<Catalog>,
    package: String,
    /// Who calls, and the ids the parse pass saw it call; none for inline SQL and run hooks.
    caller: Option<(String, Vec<UniqueId>)>,
    used: Arc<Mutex<Vec<UniqueId>>>,
}

/// A resolver as renders take it, and the list it fills.
struct Resolving {
    resolve: Arc<dyn Resolve>,
    used: Arc<Mutex<Vec<UniqueId>>>,
}

impl Resolving {
    fn new(project: &Project, package: &str, node: Option<&Node>) -> Self {
        let used: Arc<Mutex<Vec<UniqueId>>> = Arc::default();
        let caller = node
            .filter(|n| n.resource_type != ResourceType::Operation)
            .map(|n| (n.name.clone(), n.depends_on.nodes.clone()));
        let resolver = Resolver {
            catalog: Arc::clone(project.catalog()),
            package: package.to_owned(),
            caller,
            used: Arc::clone(&used),
        };
        Self { resolve: Arc::new(resolver), used }
    }

    /// The ephemeral models called so far.
    fn used(&self) -> Vec<UniqueId> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Resolver {
    fn relation(&self, id: UniqueId, call: &str) -> Result<Relation, String> {
        // A call the parse pass did not see would run before what it reads is built.
        if let Some((name, known)) = &self.caller
            && !known.contains(&id)
        {
            return Err(format!(
                "{call} is only reached while `{name}` runs, so it could not be ordered; \
                 add `-- depends_on: {{{{ {call} }}}}` to the file"
            ));
        }
        let Some((relation, is_ephemeral)) = self.catalog.relations.get(&id) else {
            return Err(format!("`{id}` is gone"));
        };
        if *is_ephemeral {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            if !used.contains(&id) {
                used.push(id);
            }
        }
        Ok(relation.clone())
    }
}

impl Resolve for Resolver {
    fn resolve_ref(&self, call: &RefCall) -> Result<Relation, String> {
        let lookup = &self.catalog.lookup;
        match lookup.find_ref(&self.package, call) {
            Found::Here(id) => self.relation(id, &format!("ref('{}')", call.name)),
            Found::Disabled => Err(format!("`{}` is disabled", call.name)),
            Found::Missing | Found::Broken => {
                Err(format!("there is no model, seed or snapshot `{}`; {}", call.name, lookup.ref_help(call)))
            }
        }
    }

    fn resolve_source(&self, call: &SourceCall) -> Result<Relation, String> {
        let lookup = &self.catalog.lookup;
        match lookup.find_source(&self.package, call) {
            Found::Here(id) => self.relation(id, &format!("source('{}', '{}')", call.source, call.table)),
            Found::Disabled => Err(format!("source `{}.{}` is disabled", call.source, call.table)),
            Found::Missing | Found::Broken => {
                Err(format!("there is no source `{}.{}`; {}", call.source, call.table, lookup.source_help(call)))
            }
        }
    }

    fn time_zone(&self, call: &SourceCall) -> Option<String> {
        match self.catalog.lookup.find_source(&self.package, call) {
            Found::Here(id) => self.catalog.time_zones.get(&id).cloned(),
            Found::Disabled | Found::Missing | Found::Broken => None,
        }
    }
}
