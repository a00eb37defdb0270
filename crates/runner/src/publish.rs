//! What becomes visible: a run without failures publishes the newest epoch's map with what it wrote laid over it.

use std::{collections::BTreeMap, sync::Arc};

use wardlake_core::TableName;
use wardlake_project::ResourceType;
use wardlake_storage::{Epoch, EpochDraft};

use crate::{NodeResult, RunnerError, Status, Workspace, adapter::table_name, build::BuildContext};

/// Versions and views that a run brought forth.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) tables: BTreeMap<TableName, u64>,
    pub(crate) views: BTreeMap<TableName, String>,
}

/// Publishes after a build, with the source tables that were `loaded` for it. Returns the epoch, or why there is none.
pub(crate) async fn after_build(
    context: &Arc<BuildContext>,
    results: &[NodeResult],
    loaded: &BTreeMap<TableName, u64>,
) -> Result<(Option<u64>, Option<String>), RunnerError> {
    let failed = results.iter().filter(|result| result.status.is_failure()).count();
    if failed > 0 {
        let reason = format!("{failed} of {} nodes failed; readers keep the last epoch", results.len());
        return Ok((None, Some(reason)));
    }
    let mut changes = Changes { tables: loaded.clone(), ..Changes::default() };
    for result in results.iter().filter(|result| result.status == Status::Success) {
        let Some(node) = context.node(&result.unique_id) else { continue };
        let Some(name) = table_name(&node.relation) else { continue };
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
    let epoch = publish(&context.workspace, &context.previous, changes, gates).await?;
    Ok((epoch, None))
}

/// Lays `changes` over the newest epoch and publishes the result, if it differs. `base` is what was published when the run
/// began: a table that another run moved on since then is not set back.
pub(crate) async fn publish(
    workspace: &Workspace,
    base: &BTreeMap<TableName, u64>,
    changes: Changes,
    gates: serde_json::Value,
) -> Result<Option<u64>, RunnerError> {
    let lay_over = |newest: Option<&Epoch>| {
        let (mut tables, mut views) = match newest {
            Some(Epoch { tables, views, .. }) => (tables.clone(), views.clone()),
            None => Default::default(),
        };
        for (name, version) in &changes.tables {
            let theirs = tables.get(name).copied().filter(|theirs| base.get(name) != Some(theirs));
            views.remove(name);
            tables.insert(name.clone(), theirs.map_or(*version, |theirs| theirs.max(*version)));
        }
        for (name, sql) in &changes.views {
            tables.remove(name);
            views.insert(name.clone(), sql.clone());
        }
        let is_same = match newest {
            Some(newest) => newest.tables == tables && newest.views == views,
            None => tables.is_empty() && views.is_empty(),
        };
        let (run_id, gates) = (workspace.run_id.clone(), gates.clone());
        (!is_same).then(|| EpochDraft { run_id, tables, views, gates, rollback_of: None })
    };
    Ok(workspace.lake.publish_over(lay_over).await?.map(|epoch| epoch.number))
}
