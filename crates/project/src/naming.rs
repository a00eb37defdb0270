//! Where a node stands in the lake: `generate_schema_name` and `generate_alias_name`.
//!
//! Their macros are called only where a package overrides them; otherwise dbt's rule is applied directly, since ten
//! thousand template calls for a constant are what makes a parse slow.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};
use wardlake_core::Diagnostic;

use crate::{Node, Relation, RelationKind, ResourceType, Target, node_json, templates::Templates};

pub(crate) struct Naming<'a> {
    templates: &'a Templates,
    target: &'a Target,
    root: &'a str,
    schema_packages: BTreeSet<String>,
    alias_packages: BTreeSet<String>,
}

impl<'a> Naming<'a> {
    pub(crate) fn new(templates: &'a Templates, target: &'a Target, root: &'a str, packages: &[String]) -> Self {
        let overriding = |name: &str| -> BTreeSet<String> {
            let names = [name.to_owned(), format!("default__{name}"), format!("wardlake__{name}")];
            templates
                .jinja
                .macros()
                .filter(|m| names.contains(&m.name) && packages.contains(&m.package))
                .map(|m| m.package.clone())
                .collect()
        };
        let (schema_packages, alias_packages) = (overriding("generate_schema_name"), overriding("generate_alias_name"));
        Self { templates, target, root, schema_packages, alias_packages }
    }

    /// Sets the node's alias and relation from its config.
    pub(crate) fn apply(&self, node: &mut Node) -> Result<(), Diagnostic> {
        node.alias = self.alias(node)?;
        let schema = self.schema(node)?;
        node.relation = relation(node, schema.clone());
        node.schema = schema;
        Ok(())
    }

    fn schema(&self, node: &Node) -> Result<String, Diagnostic> {
        if node.resource_type == ResourceType::Snapshot
            && let Some(schema) = &node.config.snapshot.target_schema
        {
            return Ok(schema.clone());
        }
        let custom = match node.resource_type {
            ResourceType::Test => Some(node.config.schema.as_deref().unwrap_or("dbt_test__audit")),
            _ => node.config.schema.as_deref(),
        };
        if let Some(package) = self.overriding(&self.schema_packages, node) {
            return self.call(package, "generate_schema_name", custom, node);
        }
        Ok(match custom.map(str::trim) {
            Some(custom) => format!("{}_{custom}", self.target.schema),
            None => self.target.schema.clone(),
        })
    }

    fn alias(&self, node: &Node) -> Result<String, Diagnostic> {
        let custom = node.config.alias.as_deref();
        if let Some(package) = self.overriding(&self.alias_packages, node) {
            return self.call(package, "generate_alias_name", custom, node);
        }
        Ok(custom.map_or_else(|| node.name.clone(), |c| c.trim().to_owned()))
    }

    fn overriding<'n>(&'n self, packages: &BTreeSet<String>, node: &'n Node) -> Option<&'n str> {
        [self.root, node.package.as_str()].into_iter().find(|p| packages.contains(*p))
    }

    fn call(&self, package: &str, name: &str, custom: Option<&str>, node: &Node) -> Result<String, Diagnostic> {
        let request = self.templates.request(package, &node.location.file, node.location.line, "");
        let args = vec![custom.map_or(Json::Null, Json::from), Json::Object(node_json::brief(node))];
        let (text, returned) = self.templates.jinja.call_macro(&request, name, args, Map::new())?;
        let text = match returned {
            Some(Json::String(text)) => text,
            _ => text,
        };
        Ok(text.trim().to_owned())
    }
}

fn relation(node: &Node, schema: String) -> Relation {
    if node.config.is_ephemeral() {
        let identifier = format!("__dbt__cte__{}", node.name);
        return Relation { database: None, schema: None, identifier, kind: Some(RelationKind::Cte) };
    }
    let kind = match node.config.materialized.as_str() {
        "view" => Some(RelationKind::View),
        "table" | "incremental" | "seed" | "snapshot" | "test" => Some(RelationKind::Table),
        _ => None,
    };
    Relation { database: None, schema: Some(schema), identifier: node.alias.clone(), kind }
}
