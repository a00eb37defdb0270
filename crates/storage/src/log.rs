//! A table's `_delta_log` as files: which versions there are, and what single commits say.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::Int64Type,
};
use bytes::Bytes;
use deltalake::{
    kernel::{Action, Version},
    logstore::{LogStoreRef, get_actions},
};
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, path::Path};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use wardlake_core::TableName;

use crate::StorageError;

/// The log's files at one moment.
#[derive(Debug, Default, Clone)]
pub(crate) struct LogFiles {
    /// Versions whose commit file is there, ascending.
    pub(crate) commits: Vec<Version>,
    /// Version and file of each classic single-file checkpoint, ascending.
    pub(crate) checkpoints: Vec<(Version, Path)>,
}

impl LogFiles {
    pub(crate) async fn list(log_store: &LogStoreRef) -> Result<Self, StorageError> {
        let folder = Path::from("_delta_log");
        let list = log_store.object_store(None).list_with_delimiter(Some(&folder)).await;
        let objects = list.map_err(StorageError::store("list", log_store.root_url()))?.objects;
        let mut files = Self::default();
        for object in objects {
            let Some(name) = object.location.filename() else { continue };
            let Some((Ok(version), rest)) = name.split_at_checked(20).map(|(digits, rest)| (digits.parse(), rest))
            else {
                continue;
            };
            match rest {
                ".json" => files.commits.push(version),
                ".checkpoint.parquet" => files.checkpoints.push((version, object.location)),
                _ => {}
            }
        }
        files.commits.sort_unstable();
        files.checkpoints.sort_unstable();
        Ok(files)
    }

    pub(crate) fn newest(&self) -> Option<Version> {
        self.commits.last().copied().max(self.checkpoints.last().map(|(version, _)| *version))
    }
}

/// The actions of one commit; `HistoryGone` if its file is no longer there.
pub(crate) async fn commit_actions(
    table: &TableName,
    log_store: &LogStoreRef,
    version: Version,
) -> Result<Vec<Action>, StorageError> {
    let bytes = log_store.read_commit_entry(version).await.map_err(StorageError::delta(table))?;
    let bytes = bytes.ok_or_else(|| StorageError::HistoryGone { table: table.clone(), version })?;
    get_actions(version, &bytes).map_err(StorageError::delta(table))
}

/// What a table has consumed: `txn.appId` → newest `txn.version`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    entries: Arc<HashMap<String, i64>>,
}

impl Ledger {
    /// The version consumed of `app_id`. A negative version is how a restore says "not consumed".
    pub(crate) fn consumed(&self, app_id: &str) -> Option<i64> {
        self.entries.get(app_id).copied().filter(|version| *version >= 0)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, i64)> {
        self.entries.iter().filter(|(_, version)| **version >= 0).map(|(app_id, version)| (app_id.as_str(), *version))
    }

    /// Takes in an entry of a later commit.
    pub(crate) fn note(&mut self, app_id: String, version: i64) {
        Arc::make_mut(&mut self.entries).insert(app_id, version);
    }

    /// The ledger at `version`, read from the newest checkpoint before it and the commits since.
    pub(crate) async fn load(
        table: &TableName,
        log_store: &LogStoreRef,
        version: Version,
    ) -> Result<Self, StorageError> {
        let files = LogFiles::list(log_store).await?;
        let mut ledger = Self::default();
        let mut next = 0;
        if let Some((checkpoint, path)) = files.checkpoints.iter().rfind(|(checkpoint, _)| *checkpoint <= version) {
            ledger.entries = Arc::new(read_checkpoint(log_store, path).await?);
            next = checkpoint + 1;
        }
        ledger.advance(table, log_store, next, version).await
    }

    /// This ledger plus the entries of commits `from..=to`.
    pub(crate) async fn advance(
        mut self,
        table: &TableName,
        log_store: &LogStoreRef,
        from: Version,
        to: Version,
    ) -> Result<Self, StorageError> {
        let versions = futures::stream::iter((from..=to).map(Ok::<_, StorageError>));
        let read = |version| async move {
            let bytes = log_store.read_commit_entry(version).await.map_err(StorageError::delta(table))?;
            bytes.ok_or_else(|| StorageError::HistoryGone { table: table.clone(), version })
        };
        let commits: Vec<Bytes> = versions.map_ok(read).try_buffered(16).try_collect().await?;
        let found: Vec<_> = commits.iter().flat_map(|bytes| transactions(bytes)).collect();
        if !found.is_empty() {
            Arc::make_mut(&mut self.entries).extend(found);
        }
        Ok(self)
    }
}

#[derive(serde::Deserialize)]
struct TxnLine {
    txn: Option<Txn>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Txn {
    app_id: String,
    version: i64,
}

/// The `txn` actions of a commit. Lines of data files, which are nearly all of a large commit, are not parsed.
fn transactions(commit: &[u8]) -> impl Iterator<Item = (String, i64)> {
    commit
        .split(|byte| *byte == b'\n')
        .filter(|line| line.trim_ascii_start().starts_with(b"{\"txn\""))
        .filter_map(|line| serde_json::from_slice::<TxnLine>(line).ok()?.txn)
        .map(|txn| (txn.app_id, txn.version))
}

async fn read_checkpoint(log_store: &LogStoreRef, path: &Path) -> Result<HashMap<String, i64>, StorageError> {
    let get = log_store.object_store(None).get(path).await.map_err(StorageError::store("read", path))?;
    let bytes = get.bytes().await.map_err(StorageError::store("read", path))?;
    checkpoint_transactions(bytes)
        .map_err(|error| StorageError::Damaged { path: path.to_string(), reason: error.to_string() })
}

fn checkpoint_transactions(bytes: Bytes) -> Result<HashMap<String, i64>, parquet::errors::ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), ["txn"]);
    let mut found = HashMap::new();
    for batch in builder.with_projection(mask).build()? {
        add_transactions(&batch?, &mut found);
    }
    Ok(found)
}

fn add_transactions(batch: &RecordBatch, found: &mut HashMap<String, i64>) {
    let Some(txn) = batch.column_by_name("txn").and_then(|column| column.as_struct_opt()) else { return };
    let (Some(app_id), Some(version)) = (txn.column_by_name("appId"), txn.column_by_name("version")) else { return };
    let Some(version) = version.as_primitive_opt::<Int64Type>() else { return };
    let Ok(app_id) = arrow::compute::cast(app_id, &arrow::datatypes::DataType::Utf8) else { return };
    let app_id = app_id.as_string::<i32>();
    for row in (0..batch.num_rows()).filter(|row| txn.is_valid(*row) && app_id.is_valid(*row)) {
        found.insert(app_id.value(row).to_owned(), version.value(row));
    }
}
