//! What becomes visible: a run without failures publishes the newest epoch's map with what it wrote laid over it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use wardlake_core::TableName;
use wardlake_project::ResourceType;
use wardlake_storage::{Epoch, EpochDraft};

use crate::{NodeResult, RunnerError, Status, Workspace, adapter::table_name, build::BuildContext};

/// Versions and views that a run brought forth.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) tables: BTreeMap<TableName, u64>,
    pub(crate) views: BTreeMap<TableName, String>,
    /// Of both those that stand as an earlier run left them.
    pub(crate) unchanged: BTreeSet<TableName>,
}

/// Publishes after a build. Returns the epoch, or why there is none.
pub(crate) async fn after_build(
    context: &Arc<BuildContext>,
    results: &[NodeResult],
) -> Result<(Option<u64>, Option<String>), RunnerError> {
    let failed = results.iter().filter(|result| result.status.is_failure()).count();
    if failed > 0 {
        let reason = format!("{failed} of {} nodes failed; readers keep the last epoch", results.len());
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
) -> Result<Option<u64>, RunnerError> {
    let mut changes = Changes { tables: loaded.clone(), ..Changes::default() };
    for result in results.iter().filter(|result| result.status == Status::Success) {
        let Some(node) = context.node(&result.unique_id) else { continue };
        let Some(name) = table_name(&node.relation) else { continue };
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
    publish(&context.workspace, &context.previous, changes, gates).await
}

/// Lays `changes` over the newest epoch and publishes the result, if it differs. `base` is what was published when the run
/// began: a table that another run moved on since then is not set back.
pub(crate) async fn publish(
    workspace: &Workspace,
    base: &BTreeMap<TableName, u64>,
    changes: Changes,
    gates: serde_json::Value,
) -> Result<Option<u64>, RunnerError> {
    let mut held = 0;
    let lay_over = |newest: Option<&Epoch>| {
        held = 0;
        let (mut tables, mut views) = match newest {
            Some(Epoch { tables, views, .. }) => (tables.clone(), views.clone()),
            None => Default::default(),
        };
        let mut withdrawn = newest.map(|epoch| epoch.withdrawn.clone()).unwrap_or_default();
        for (name, version) in &changes.tables {
            // A rollback holds until something else is built.
            let taken_back = withdrawn.tables.get(name).is_some_and(|taken_back| version <= taken_back);
            if taken_back && changes.unchanged.contains(name) {
                held += 1;
                continue;
            }
            withdrawn.tables.remove(name);
            let theirs = tables.get(name).copied().filter(|theirs| base.get(name) != Some(theirs));
            views.remove(name);
            tables.insert(name.clone(), theirs.map_or(*version, |theirs| theirs.max(*version)));
        }
        for (name, sql) in &changes.views {
            if withdrawn.views.get(name) == Some(sql) && changes.unchanged.contains(name) {
                held += 1;
                continue;
            }
            withdrawn.views.remove(name);
            tables.remove(name);
            views.insert(name.clone(), sql.clone());
        }
        let is_same = match newest {
            Some(newest) => newest.tables == tables && newest.views == views,
            None => tables.is_empty() && views.is_empty(),
        };
        let (run_id, gates) = (workspace.run_id.clone(), gates.clone());
        (!is_same).then(|| EpochDraft { run_id, tables, views, gates, rollback_of: None, withdrawn })
    };
    let epoch = workspace.lake.publish_over(lay_over).await?;
    if held > 0 {
        workspace.events.warn(format!(
            "a rollback holds: {held} tables and views that it took back are unchanged and were not published again; change              what they are made of, or build them anew with --full-refresh"
        ));
    }
    Ok(epoch.map(|epoch| epoch.number))
}
