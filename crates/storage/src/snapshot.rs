//! One version of one table: its schema, files and ledger, and a scan of it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use datafusion::{catalog::TableProvider, execution::SessionState};
use deltalake::{DeltaTable, kernel::LogicalFileView};
use futures::TryStreamExt;
use serde_json::Value;
use wardlake_core::TableName;

use crate::{StorageError, log::Ledger, table::TableHandle};

/// A version of a table. Cheap to clone; reading it never sees a later commit.
#[derive(Debug, Clone)]
pub struct TableSnapshot {
    pub(crate) handle: Arc<TableHandle>,
    pub(crate) table: DeltaTable,
    schema: SchemaRef,
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
    pub(crate) fn new(handle: Arc<TableHandle>, table: DeltaTable) -> Result<Self, StorageError> {
        let state = table.snapshot().map_err(StorageError::delta(&handle.name))?;
        let schema = state.snapshot().arrow_schema();
        Ok(Self { handle, table, schema })
    }

    /// The table.
    pub fn name(&self) -> &TableName {
        &self.handle.name
    }

    /// The Delta version.
    pub fn version(&self) -> u64 {
        self.table.version().unwrap_or_default()
    }

    /// The table's own id: one that was made anew under its name has another, and counts its versions from 0 again.
    pub fn table_id(&self) -> String {
        self.table.snapshot().map(|state| state.metadata().id().to_owned()).unwrap_or_default()
    }

    /// All columns, partition columns included, in the table's order and stored types. A scan may return text as `Utf8View`.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    pub(crate) fn file_views(&self) -> Vec<LogicalFileView> {
        self.table.snapshot().map(|state| state.log_data().into_iter().collect()).unwrap_or_default()
    }

    /// The data files, in no order.
    pub fn files(&self) -> Vec<TableFile> {
        let file = |view: &LogicalFileView| TableFile {
            path: view.path().into_owned(),
            bytes: view.size().max(0) as u64,
            rows: view.num_records().map(|rows| rows as u64),
            partition: view.partition_values_map().into_iter().collect(),
        };
        self.file_views().iter().map(file).collect()
    }

    /// Rows, if every file's writer recorded them and none has a deletion vector.
    pub fn num_rows(&self) -> Option<u64> {
        let rows = |view: &LogicalFileView| match view.deletion_vector_descriptor() {
            None => view.num_records().map(|rows| rows as u64),
            Some(_) => None,
        };
        self.file_views().iter().map(rows).sum()
    }

    /// Bytes of the data files.
    pub fn size_bytes(&self) -> u64 {
        self.file_views().iter().map(|view| view.size().max(0) as u64).sum()
    }

    /// Partition columns in order.
    pub fn partition_columns(&self) -> Vec<String> {
        self.table.snapshot().map(|state| state.metadata().partition_columns().to_vec()).unwrap_or_default()
    }

    /// Delta table properties.
    pub fn properties(&self) -> BTreeMap<String, String> {
        let configuration = |state: &deltalake::table::state::DeltaTableState| {
            state.metadata().configuration().iter().map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        self.table.snapshot().map(configuration).unwrap_or_default()
    }

    pub(crate) async fn ledger(&self) -> Result<Ledger, StorageError> {
        self.handle.ledger(self.version()).await
    }

    /// How far this version has consumed `app_id`.
    pub async fn consumed(&self, app_id: &str) -> Result<Option<i64>, StorageError> {
        Ok(self.ledger().await?.consumed(app_id))
    }

    /// Everything this version has consumed.
    pub async fn consumed_all(&self) -> Result<HashMap<String, i64>, StorageError> {
        Ok(self.ledger().await?.entries().map(|(app_id, version)| (app_id.to_owned(), version)).collect())
    }

    /// A scan with pruning by partition, statistics and Parquet pages. `session` gives the scan's settings.
    pub async fn provider(&self, session: &SessionState) -> Result<Arc<dyn TableProvider>, StorageError> {
        let builder = self.table.table_provider().with_session(Arc::new(session.clone()));
        builder.await.map_err(StorageError::query(self.name()))
    }

    /// The newest `limit` commits up to this version, newest first.
    pub async fn history(&self, limit: Option<usize>) -> Result<Vec<HistoryEntry>, StorageError> {
        let stream = self.table.history(limit);
        let infos: Vec<_> = stream.try_collect().await.map_err(StorageError::delta(self.name()))?;
        let newest = self.handle.newest_version().await?.unwrap_or_default();
        // The library lists to the newest commit there is, newest first and without gaps.
        let entries = infos.into_iter().enumerate().map(|(age, info)| HistoryEntry {
            version: newest.saturating_sub(age as u64),
            committed_at: info.timestamp.and_then(DateTime::from_timestamp_millis),
            operation: info.operation,
            metadata: info.info.into_iter().collect(),
        });
        Ok(entries.filter(|entry| entry.version <= self.version()).collect())
    }
}
