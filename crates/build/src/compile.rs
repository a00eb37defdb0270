//! From a node to the SQL that runs, and the table it is written to.

use std::sync::Arc;

use wardlake_core::TableName;
use wardlake_engine::Session;
use wardlake_load::Workspace;
use wardlake_project::{Compiled, Node, UniqueId};
use wardlake_storage::Lake;

use crate::{adapter::EngineAdapter, error::BuildError};

/// The SQL of a node as it would run now.
pub async fn compile(workspace: &Arc<Workspace>, session: &Session, id: &UniqueId) -> Result<String, BuildError> {
    let node = workspace.project.node(id);
    let is_incremental = match node.filter(|node| node.config.materialized == "incremental") {
        Some(node) => is_table(&workspace.lake, &target_name(node)?).await?,
        None => false,
    };
    Ok(compile_node(workspace, session, id, is_incremental).await?.sql)
}

/// The SQL of a query with Jinja in it.
pub async fn compile_inline(workspace: &Arc<Workspace>, session: &Session, text: &str) -> Result<String, BuildError> {
    let adapter: Arc<dyn wardlake_project::Adapter> = Arc::new(EngineAdapter::new(session.clone()));
    let (project, text) = (Arc::clone(&workspace.project), text.to_owned());
    let compiled = tokio::task::spawn_blocking(move || project.compile_inline(&text, &adapter)).await?;
    compiled.map_err(|diagnostic| BuildError::Project(diagnostic.into()))
}

/// Renders a node's SQL; its templates may ask `session`.
pub async fn compile_node(
    workspace: &Workspace,
    session: &Session,
    id: &UniqueId,
    is_incremental: bool,
) -> Result<Compiled, BuildError> {
    let adapter: Arc<dyn wardlake_project::Adapter> = Arc::new(EngineAdapter::new(session.clone()));
    let project = Arc::clone(&workspace.project);
    let id = id.clone();
    let compiled = tokio::task::spawn_blocking(move || project.compile(&id, &adapter, is_incremental)).await?;
    compiled.map_err(|diagnostic| BuildError::Project(diagnostic.into()))
}

/// The table a node writes.
pub(crate) fn target_name(node: &Node) -> Result<TableName, BuildError> {
    node.relation
        .table_name()
        .ok_or_else(|| BuildError::NoTableName { node: node.unique_id.to_string(), name: relation_text(node) })
}

pub(crate) fn relation_text(node: &Node) -> String {
    match &node.relation.schema {
        Some(schema) => format!("{schema}.{}", node.relation.identifier),
        None => node.relation.identifier.clone(),
    }
}

/// Whether the name is a table now; one that stands behind a view is of before.
pub(crate) async fn is_table(lake: &Lake, name: &TableName) -> Result<bool, BuildError> {
    Ok(lake.exists(name).await? && lake.view(name).await?.is_none())
}
