//! Seeds: a CSV file of the project becomes a table. A type is inferred only where no value would lose anything by it.

use std::sync::Arc;

use datafusion::physical_plan::memory::MemoryStream;
use wardlake_project::Node;
use wardlake_records::NodeResult;

use crate::{
    compile::target_name,
    context::BuildContext,
    error::BuildError,
    fingerprint::fingerprint,
    materialize::{Written, commit_of},
};

/// Loads a seed, or takes over its table if neither the file nor its settings changed.
pub(crate) async fn load(
    context: &Arc<BuildContext>,
    node: &Node,
    result: &mut NodeResult,
) -> Result<Written, BuildError> {
    let name = target_name(node)?;
    let settings = format!("{:?}", node.config);
    let print = fingerprint([node.checksum.as_str(), settings.as_str()]);
    if !context.options.full_refresh
        && let Some(last) = context.states.last(&result.unique_id).filter(|last| last.fingerprint == print)
        && let Some(version) = last.version
        && context.workspace.lake.newest_version(&name).await? == Some(version)
    {
        result.is_reused = true;
        result.fingerprint = Some(print);
        return Ok(Written { rows: last.rows, version: Some(version), bytes: None, message: None });
    }
    let path = context.workspace.project.dir().join(&node.file);
    let delimiter = node.config.seed.delimiter;
    let types = node.config.seed.column_types.clone();
    let label = node.name.clone();
    let batch =
        tokio::task::spawn_blocking(move || wardlake_load::read_seed(&path, delimiter, &types, &label)).await??;
    let schema = batch.schema();
    let stream = Box::pin(MemoryStream::try_new(vec![batch], schema, None)?);
    let outcome = context.workspace.lake.overwrite(&name, vec![stream], commit_of(context, node)).await?;
    result.fingerprint = Some(print);
    Ok(outcome.into())
}
