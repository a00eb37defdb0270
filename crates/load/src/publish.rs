//! What becomes visible: the newest epoch's map with what a run wrote laid over it.

use std::collections::{BTreeMap, BTreeSet};

use wardlake_core::TableName;
use wardlake_storage::{Epoch, EpochDraft, StorageError};

use crate::workspace::Workspace;

/// Versions and views that a run brought forth.
#[derive(Default)]
pub struct Changes {
    /// Tables and the versions that are to be seen.
    pub tables: BTreeMap<TableName, u64>,
    /// Views and their SQL.
    pub views: BTreeMap<TableName, String>,
    /// Of both those that stand as an earlier run left them.
    pub unchanged: BTreeSet<TableName>,
}

/// Lays `changes` over the newest epoch and publishes the result, if it differs. `base` is what was published when the run
/// began: a table that another run moved on since then is not set back.
pub async fn publish(
    workspace: &Workspace,
    base: &BTreeMap<TableName, u64>,
    changes: Changes,
    gates: serde_json::Value,
) -> Result<Option<u64>, StorageError> {
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
            "a rollback holds: what it took back and has not changed since ({held} of its tables and views) was not published again; change \
             what that is made of, or build it anew with --full-refresh"
        ));
    }
    Ok(epoch.map(|epoch| epoch.number))
}
