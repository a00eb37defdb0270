//! Keeping the tables of a running server in shape, a little at a time: small files are merged, epochs nobody goes back to are
//! forgotten, files nobody can read any more are deleted. Readers hold an epoch and are never disturbed.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use wardlake_core::TableName;
use wardlake_engine::ReadState;
use wardlake_storage::Commit;

use crate::{RunnerError, Workspace};

/// A table is merged when it has so many small files more than its share.
const SMALL_FILES: usize = 40;
/// Files are merged up to this size: one merge holds up the table's writer for well under a second.
const MERGED_BYTES: u64 = 24 << 20;
/// Every epoch of the last hour is kept, of older ones the last of each hour.
const KEEP_EPOCHS: Duration = Duration::from_secs(60 * 60);
const EPOCHS_AT_ONCE: usize = 2_000;
/// Files that no version names are deleted when they are so old; longer than any write or read takes.
const KEEP_FILES: Duration = Duration::from_secs(24 * 60 * 60);

/// What one round did.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct UpkeepReport {
    /// Tables whose small files were merged.
    pub merged: Vec<String>,
    /// Epochs that were forgotten.
    pub epochs_forgotten: usize,
    /// Bytes of files that were deleted.
    pub bytes_deleted: u64,
}

/// Merges small files of `tables` and forgets epochs.
pub(super) async fn tidy(
    workspace: &Arc<Workspace>,
    tables: &BTreeSet<TableName>,
) -> Result<UpkeepReport, RunnerError> {
    let mut report = UpkeepReport::default();
    for table in tables {
        let Some(snapshot) = workspace.lake.snapshot(table, None).await? else { continue };
        let small = snapshot.files().iter().filter(|file| file.bytes < MERGED_BYTES / 4 * 3).count();
        if small < SMALL_FILES {
            continue;
        }
        let session = workspace.engine.session(ReadState::Working).await?;
        let state = session.context().state();
        if workspace.lake.optimize(&state, table, MERGED_BYTES, Commit::default()).await?.is_some() {
            report.merged.push(table.to_string());
        }
    }
    report.epochs_forgotten = workspace.lake.thin_epochs(KEEP_EPOCHS, EPOCHS_AT_ONCE).await?;
    Ok(report)
}

/// Deletes files of `tables` that neither the newest version nor a kept epoch names.
pub(super) async fn vacuum(
    workspace: &Arc<Workspace>,
    tables: &BTreeSet<TableName>,
) -> Result<UpkeepReport, RunnerError> {
    let mut report = UpkeepReport::default();
    let epochs = workspace.lake.epochs().await?;
    for table in tables {
        let kept: BTreeSet<u64> = epochs.iter().filter_map(|epoch| epoch.tables.get(table).copied()).collect();
        if workspace.lake.exists(table).await? {
            report.bytes_deleted += workspace.lake.vacuum(table, KEEP_FILES, &kept, false).await?.bytes;
        }
    }
    Ok(report)
}
