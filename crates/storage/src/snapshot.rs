//! One version of one table: its schema, files and ledger, and a scan of it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use datafusion::{catalog::TableProvider, execution::SessionState};
use deltalake::{DeltaTable, kernel::CommitInfo};
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;
use wardlake_core::TableName;

use crate::{
    StorageError,
    log::{LogFiles, commit_info},
    state::{DataFile, TableState},
    table::TableHandle,
};

/// Commits that are read side by side.
const PARALLEL_READS: usize = 16;

/// A version of a table. Cheap to clone; reading it never sees a later commit.
#[derive(Debug, Clone)]
pub struct TableSnapshot {
    pub(crate) handle: Arc<TableHandle>,
    pub(crate) state: Arc<TableState>,
}

/// One data file of a version.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TableFile {
    /// Relative to the table.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// Rows, if the writer recorded them.
    pub rows: Option<u64>,
    /// Partition column → value as text.
    pub partition: BTreeMap<String, Option<String>>,
}

/// One commit of a table, newest first in [`TableSnapshot::history`].
#[derive(Debug, Clone, serde::Serialize)]
pub struct HistoryEntry {
    /// The version it made.
    pub version: u64,
    /// When.
    pub committed_at: Option<DateTime<Utc>>,
    /// WRITE, MERGE, …
    pub operation: Option<String>,
    /// What the writer said about it (`Commit::metadata` among it).
    pub metadata: BTreeMap<String, Value>,
}

impl TableSnapshot {
    pub(crate) fn new(handle: Arc<TableHandle>, state: Arc<TableState>) -> Self {
        Self { handle, state }
    }

    /// The table.
    pub fn name(&self) -> &TableName {
        &self.handle.name
    }

    /// The Delta version.
    pub fn version(&self) -> u64 {
        self.state.version()
    }

    /// The table's own id: one that was made anew under its name has another, and counts its versions from 0 again.
    pub fn table_id(&self) -> &str {
        self.state.metadata().id()
    }

    /// All columns, partition columns included, in the table's order and stored types. A scan may return text as `Utf8View`.
    pub fn schema(&self) -> SchemaRef {
        self.state.schema()
    }

    pub(crate) fn data_files(&self) -> Vec<Arc<DataFile>> {
        self.state.files().cloned().collect()
    }

    /// The library's state of this version.
    pub(crate) async fn delta(&self) -> Result<&DeltaTable, StorageError> {
        self.state.delta(self.name(), &self.handle.log_store).await
    }

    /// The data files, in no order.
    pub fn files(&self) -> Vec<TableFile> {
        let file = |file: &Arc<DataFile>| TableFile {
            path: file.path().to_owned(),
            bytes: file.bytes(),
            rows: file.rows(),
            partition: file.partition(),
        };
        self.state.files().map(file).collect()
    }

    /// Rows, if every file's writer recorded them and none has a deletion vector.
    pub fn num_rows(&self) -> Option<u64> {
        let rows = |file: &Arc<DataFile>| if file.has_deleted_rows() { None } else { file.rows() };
        self.state.files().map(rows).sum()
    }

    /// Partition columns in order.
    pub fn partition_columns(&self) -> Vec<String> {
        self.state.partition_columns().to_vec()
    }

    /// Delta table properties.
    pub fn properties(&self) -> BTreeMap<String, String> {
        let properties = self.state.metadata().configuration().iter();
        properties.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// How far this version has consumed `app_id`.
    pub async fn consumed(&self, app_id: &str) -> Result<Option<i64>, StorageError> {
        Ok(self.state.consumed(app_id))
    }

    /// Everything this version has consumed.
    pub async fn consumed_all(&self) -> Result<HashMap<String, i64>, StorageError> {
        Ok(self.state.consumed_all().map(|(app_id, version)| (app_id.to_owned(), version)).collect())
    }

    /// A scan with pruning by partition, statistics and Parquet pages. `session` gives the scan's settings.
    pub async fn provider(&self, session: &SessionState) -> Result<Arc<dyn TableProvider>, StorageError> {
        let builder = self.delta().await?.table_provider().with_session(Arc::new(session.clone()));
        builder.await.map_err(StorageError::query(self.name()))
    }

    /// The newest `limit` commits up to this version, newest first, as far as the log still has them.
    pub async fn history(&self, limit: Option<usize>) -> Result<Vec<HistoryEntry>, StorageError> {
        let log_store = &self.handle.log_store;
        let mut versions = LogFiles::list(log_store).await?.commits;
        versions.retain(|version| *version <= self.version());
        let newest: Vec<u64> = versions.into_iter().rev().take(limit.unwrap_or(usize::MAX)).collect();
        futures::stream::iter(newest)
            .map(move |version| async move {
                let info = commit_info(self.name(), log_store, version).await?;
                Ok::<_, StorageError>(HistoryEntry::of(version, info.unwrap_or_default()))
            })
            .buffered(PARALLEL_READS)
            .try_collect()
            .await
    }
}

impl HistoryEntry {
    fn of(version: u64, info: CommitInfo) -> Self {
        Self {
            version,
            committed_at: info.timestamp.and_then(DateTime::from_timestamp_millis),
            operation: info.operation,
            metadata: info.info.into_iter().collect(),
        }
    }
}
