//! What becomes visible: a run without failures publishes the newest epoch's map with what it wrote laid over it.

use std::{collections::BTreeMap, sync::Arc};

use wardlake_core::TableName;
use wardlake_load::{Changes, publish};
use wardlake_project::ResourceType;
use wardlake_records::{NodeResult, Status};

use crate::{context::BuildContext, error::BuildError};

/// Publishes after a build. Returns the epoch, or why there is none.
pub(crate) async fn after_build(
    context: &Arc<BuildContext>,
    results: &[NodeResult],
) -> Result<(Option<u64>, Option<String>), BuildError> {
    let failed = results.iter().filter(|result| result.status.is_failure()).count();
    if failed > 0 {
        let nodes = if results.len() == 1 { "node" } else { "nodes" };
        let reason = format!("{failed} of {} {nodes} failed; readers keep the last epoch", results.len());
        return Ok((None, Some(reason)));
    }
    Ok((what_passed(context, results, &BTreeMap::new()).await?, None))
}

/// Publishes what went through, with the source tables that were `loaded` for it: of a wave a model that failed and what reads it keep
/// the tables they had. The epoch, if anything changed.
pub(crate) async fn what_passed(
    context: &Arc<BuildContext>,
    results: &[NodeResult],
    loaded: &BTreeMap<TableName, u64>,
) -> Result<Option<u64>, BuildError> {
    let mut changes = Changes { tables: loaded.clone(), ..Changes::default() };
    for result in results.iter().filter(|result| result.status == Status::Success) {
        let Some(node) = context.node(&result.unique_id) else { continue };
        let Some(name) = node.relation.table_name() else { continue };
        if result.is_reused {
            changes.unchanged.insert(name.clone());
        }
        match (result.version, node.resource_type) {
            (Some(version), _) => {
                changes.tables.insert(name, version);
            }
            (None, ResourceType::Model) => {
                if let Some(view) = context.workspace.lake.view(&name).await? {
                    changes.views.insert(name, view.sql);
                }
            }
            (None, _) => {}
        }
    }
    let tests: Vec<&NodeResult> = results.iter().filter(|result| result.resource_type == "test").collect();
    let gates = serde_json::json!({
        "command": context.options.command,
        "tests_passed": tests.iter().filter(|result| result.status == Status::Pass).count(),
        "tests_warned": tests.iter().filter(|result| result.status == Status::Warn).count(),
    });
    Ok(publish(&context.workspace, &context.previous, changes, gates).await?)
}
