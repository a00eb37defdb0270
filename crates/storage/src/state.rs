//! What a table is at a version, by our own replay of its log: columns, protocol, files, what it has consumed. A commit takes it one
//! version further for the price of that commit, and everything but a scan needs no more.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arrow::datatypes::{Schema, SchemaRef};
use chrono::{DateTime, Utc};
use deltalake::{
    DeltaTable,
    kernel::{Action, Add, Metadata, Protocol, Remove, engine::arrow_conversion::TryFromKernel, transaction::PROTOCOL},
    logstore::LogStoreRef,
    protocol::DeltaOperation,
};
use object_store::path::Path;
use tokio::sync::OnceCell;
use wardlake_core::TableName;

use crate::{StorageError, log::Line};

/// Commits that are taken into the library's state before it is read anew: each adds a batch of a row or two with all its statistics to
/// the memory, some 25 KB, and every later step copies them all. What is read anew is one batch up to the last checkpoint.
const COMMITS_PER_OPEN: u64 = 64;

/// Features of tables whose rules a commit from here keeps.
const WRITER_FEATURES: [&str; 12] = [
    "appendOnly",
    "invariants",
    "checkConstraints",
    "changeDataFeed",
    "generatedColumns",
    "columnMapping",
    "deletionVectors",
    "timestampNtz",
    "variantType",
    "variantType-preview",
    "v2Checkpoint",
    "checkpointProtection",
];

/// A table at a version.
#[derive(Debug, Clone)]
pub(crate) struct TableState {
    version: u64,
    /// When the commit file of this version was written: tells a table from one created anew under its name.
    committed_at: Option<DateTime<Utc>>,
    protocol: Arc<Protocol>,
    metadata: Arc<Metadata>,
    schema: SchemaRef,
    files: Arc<Files>,
    consumed: Arc<HashMap<String, i64>>,
    /// The library's state of this version, for scans and checkpoints, made when it is first asked for. It cannot be made from ours:
    /// the library builds an `EagerSnapshot` from a log alone, and moves away from it (<https://github.com/delta-io/delta-rs/issues/4584>).
    delta: OnceCell<Made>,
    /// The newest such state of this table, whichever version it was made for: a later one is brought forward from it.
    last_made: Arc<Mutex<Option<Made>>>,
}

/// By path.
type Files = BTreeMap<Arc<str>, Arc<DataFile>>;

/// The library's state of a version.
#[derive(Debug, Clone)]
struct Made {
    table: DeltaTable,
    /// Commits it took in since it was read.
    commits: u64,
}

/// A data file of a version, as the log adds it.
#[derive(Debug)]
pub(crate) struct DataFile(Add);

impl DataFile {
    /// As the log names it, relative to the table.
    pub(crate) fn path(&self) -> &str {
        &self.0.path
    }

    pub(crate) fn object_path(&self) -> Path {
        Path::parse(&self.0.path).unwrap_or_else(|_| Path::from(self.0.path.as_str()))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.size.max(0) as u64
    }

    /// What the writer recorded of the file's rows, as JSON.
    pub(crate) fn stats(&self) -> Option<&str> {
        self.0.stats.as_deref()
    }

    /// Rows, if the writer recorded them; those that are deleted since are among them.
    pub(crate) fn rows(&self) -> Option<u64> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Stats {
            num_records: Option<u64>,
        }
        serde_json::from_str::<Stats>(self.stats()?).ok()?.num_records
    }

    pub(crate) fn has_deleted_rows(&self) -> bool {
        self.0.deletion_vector.is_some()
    }

    /// Partition column → value as text.
    pub(crate) fn partition(&self) -> BTreeMap<String, Option<String>> {
        self.0.partition_values.iter().map(|(column, value)| (column.clone(), value.clone())).collect()
    }

    /// Milliseconds since 1970.
    pub(crate) fn modified_at_ms(&self) -> i64 {
        self.0.modification_time
    }

    /// The action that brings the file's rows into the table.
    pub(crate) fn added(&self) -> Action {
        Action::Add(Add { data_change: true, ..self.0.clone() })
    }

    /// The action that takes the file out of the table.
    pub(crate) fn removed(&self, data_change: bool) -> Action {
        Action::Remove(Remove {
            path: self.0.path.clone(),
            data_change,
            deletion_timestamp: Some(Utc::now().timestamp_millis()),
            extended_file_metadata: Some(true),
            partition_values: Some(self.0.partition_values.clone()),
            size: Some(self.0.size),
            tags: None,
            deletion_vector: self.0.deletion_vector.clone(),
            base_row_id: None,
            default_row_commit_version: None,
        })
    }
}

/// Place and bytes of an added file, if it holds rows of its table and nothing else does.
pub(crate) fn plain_file(add: &Add) -> Option<(Path, u64)> {
    let path = Path::parse(&add.path).ok()?;
    let is_plain = add.deletion_vector.is_none() && add.partition_values.is_empty() && path.as_ref() == add.path;
    is_plain.then(|| (path, add.size.max(0) as u64))
}

/// What the log says up to some version.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    protocol: Option<Arc<Protocol>>,
    metadata: Option<Arc<Metadata>>,
    files: Arc<Files>,
    consumed: Arc<HashMap<String, i64>>,
}

impl Replay {
    /// Takes in the next commit, or the checkpoint that everything begins with.
    pub(crate) fn take(&mut self, lines: Vec<Line>) {
        // A file whose rows are deleted one by one is removed and added in one commit, in any order.
        for remove in lines.iter().filter_map(|line| line.remove.as_ref()) {
            Arc::make_mut(&mut self.files).remove(remove.path.as_str());
        }
        for line in lines {
            if let Some(add) = line.add {
                Arc::make_mut(&mut self.files).insert(Arc::from(add.path.as_str()), Arc::new(DataFile(*add)));
            }
            if let Some(txn) = line.txn {
                Arc::make_mut(&mut self.consumed).insert(txn.app_id, txn.version);
            }
            if let Some(metadata) = line.meta_data {
                self.metadata = Some(Arc::from(metadata));
            }
            if let Some(protocol) = line.protocol {
                self.protocol = Some(Arc::from(protocol));
            }
        }
    }

    /// The table at `version`, up to which everything was taken in. `before`: a state of an earlier version that it was begun with.
    pub(crate) fn state(
        self,
        name: &TableName,
        version: u64,
        committed_at: Option<DateTime<Utc>>,
        before: Option<&TableState>,
    ) -> Result<TableState, StorageError> {
        let Self { protocol: Some(protocol), metadata: Some(metadata), files, consumed } = self else {
            return Err(StorageError::Damaged {
                path: format!("{}/{}/_delta_log", name.schema(), name.name()),
                reason: format!("up to version {version} it does not name the table's columns and protocol"),
            });
        };
        let schema = match before.filter(|before| Arc::ptr_eq(&before.metadata, &metadata)) {
            Some(before) => Arc::clone(&before.schema),
            None => Arc::new(arrow_schema(name, &metadata)?),
        };
        let last_made = before.map(|before| Arc::clone(&before.last_made)).unwrap_or_default();
        let delta = OnceCell::new();
        Ok(TableState { version, committed_at, protocol, metadata, schema, files, consumed, delta, last_made })
    }
}

fn arrow_schema(name: &TableName, metadata: &Metadata) -> Result<Schema, StorageError> {
    let schema = metadata.parse_schema().map_err(|error| StorageError::delta(name)(error.into()))?;
    Schema::try_from_kernel(&schema).map_err(|error| StorageError::query(name)(error.into()))
}

impl TableState {
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn committed_at(&self) -> Option<DateTime<Utc>> {
        self.committed_at
    }

    pub(crate) fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// All columns, in the table's order and stored types.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    pub(crate) fn partition_columns(&self) -> &[String] {
        self.metadata.partition_columns()
    }

    /// By path.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Arc<DataFile>> {
        self.files.values()
    }

    pub(crate) fn file(&self, path: &str) -> Option<&Arc<DataFile>> {
        self.files.get(path)
    }

    /// The data files and their bytes, if they hold the table's rows and nothing else: no partition columns beside them, no rows
    /// that are deleted, no columns under other names, nothing that readers have to know of and this one does not.
    pub(crate) fn plain_files(&self) -> Option<Vec<(Path, u64)>> {
        PROTOCOL.can_read_from_protocol(&self.protocol).ok()?;
        let mapping = self.metadata.configuration().get("delta.columnMapping.mode");
        if mapping.is_some_and(|mode| mode != "none") || !self.partition_columns().is_empty() {
            return None;
        }
        self.files().map(|file| plain_file(&file.0)).collect()
    }

    /// The version consumed of `app_id`. A negative version is how a restore says "not consumed".
    pub(crate) fn consumed(&self, app_id: &str) -> Option<i64> {
        self.consumed.get(app_id).copied().filter(|version| *version >= 0)
    }

    /// Everything that was consumed.
    pub(crate) fn consumed_all(&self) -> impl Iterator<Item = (&str, i64)> {
        self.consumed.iter().filter(|(_, version)| **version >= 0).map(|(app_id, version)| (app_id.as_str(), *version))
    }

    /// The log up to this version, to be taken further.
    pub(crate) fn replay(&self) -> Replay {
        Replay {
            protocol: Some(Arc::clone(&self.protocol)),
            metadata: Some(Arc::clone(&self.metadata)),
            files: Arc::clone(&self.files),
            consumed: Arc::clone(&self.consumed),
        }
    }

    /// An error if the table forbids a commit, or asks for more of it than is known here. The library asks this of its own snapshots
    /// only, and a commit does without one.
    pub(crate) fn require_allowed(
        &self,
        name: &TableName,
        actions: &[Action],
        operation: &DeltaOperation,
    ) -> Result<(), StorageError> {
        let unsupported = |feature: String| StorageError::UnsupportedTable { table: name.clone(), feature };
        PROTOCOL.can_read_from_protocol(&self.protocol).map_err(|error| StorageError::delta(name)(error.into()))?;
        let writer = self.protocol.min_writer_version();
        let json = |error| StorageError::delta(name)(deltalake::DeltaTableError::SerializeLogJson { json_err: error });
        let protocol = serde_json::to_value(&*self.protocol).map_err(json)?;
        let features = protocol["writerFeatures"].as_array().into_iter().flatten();
        let features: Vec<&str> = features.filter_map(serde_json::Value::as_str).collect();
        match writer {
            ..=5 => {}
            7 => {
                if let Some(feature) = features.iter().find(|feature| !WRITER_FEATURES.contains(feature)) {
                    return Err(unsupported(format!("the feature {feature}")));
                }
            }
            // The sixth has columns that count by themselves.
            _ => return Err(unsupported(format!("writer version {writer}"))),
        }
        let is_set = self.metadata.configuration().get("delta.appendOnly").is_some_and(|value| value == "true");
        let is_known = if writer < 7 { writer >= 2 } else { features.contains(&"appendOnly") };
        let is_restore = matches!(operation, DeltaOperation::Restore { .. });
        let removes = |action: &Action| matches!(action, Action::Remove(remove) if remove.data_change);
        match is_set && is_known && !is_restore && actions.iter().any(removes) {
            true => Err(unsupported("delta.appendOnly".to_owned())),
            false => Ok(()),
        }
    }

    /// The library's state of this version.
    pub(crate) async fn delta(&self, name: &TableName, log_store: &LogStoreRef) -> Result<&DeltaTable, StorageError> {
        let made = self.delta.get_or_try_init(|| self.make(name, log_store)).await?;
        Ok(&made.table)
    }

    /// Brings the last one forward if that is little, else reads it from the log.
    async fn make(&self, name: &TableName, log_store: &LogStoreRef) -> Result<Made, StorageError> {
        let last = lock(&self.last_made).clone();
        let near = last.and_then(|last| {
            let commits = last.commits + self.version.checked_sub(last.table.version()?)?;
            (commits <= COMMITS_PER_OPEN).then_some(Made { commits, ..last })
        });
        let mut made = None;
        if let Some(mut last) = near
            && last.table.update_incremental(Some(self.version)).await.is_ok()
        {
            made = Some(last);
        }
        let made = match made {
            Some(made) => made,
            None => {
                let mut table = DeltaTable::new(Arc::clone(log_store));
                table.load_version(self.version).await.map_err(StorageError::delta(name))?;
                Made { table, commits: 0 }
            }
        };
        let id = made.table.snapshot().map_err(StorageError::delta(name))?.metadata().id();
        if id != self.metadata.id() {
            // The table was dropped since and made anew under its name.
            return Err(StorageError::TableNotFound { table: name.clone() });
        }
        let mut last = lock(&self.last_made);
        if last.as_ref().is_none_or(|last| last.table.version() < made.table.version()) {
            *last = Some(made.clone());
        }
        Ok(made)
    }

    /// The same without the library's state: the next is read from the log, as compact as that allows.
    pub(crate) fn without_delta(&self) -> Self {
        Self { delta: OnceCell::new(), last_made: Arc::default(), ..self.clone() }
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch};
    use datafusion::physical_plan::memory::MemoryStream;

    use super::*;
    use crate::{Commit, Lake, log::parse_commit};

    /// A server commits several times a second and scans a table now and then.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_librarys_state_stays_compact_however_many_commits_it_has_taken_in() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
        let name: TableName = "s.t".parse().unwrap();
        let handle = lake.handle(&name).unwrap();
        let commits = async || handle.state().await.unwrap().unwrap().delta.get().map(|made| made.commits);
        for n in 0..140 {
            let rows = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![n])) as _)]).unwrap();
            let stream = MemoryStream::try_new(vec![rows.clone()], rows.schema(), None).unwrap();
            let commit = Commit { is_frequent: true, ..Commit::default() };
            lake.append(&name, vec![Box::pin(stream)], commit).await.unwrap();
            assert!(handle.known_at(n as u64).await.unwrap().is_some(), "our own commit is not read back");
            if n % 10 == 9 {
                let now = lake.require(&name).await.unwrap();
                assert_eq!((now.version(), now.files().len()), (n as u64, n as usize + 1));
                assert_eq!(now.delta().await.unwrap().version(), Some(n as u64));
                assert!(commits().await.is_some_and(|commits| commits <= COMMITS_PER_OPEN), "after {n}");
            }
        }
        assert!(commits().await > Some(0));
        lake.checkpoint(&name).await.unwrap();
        assert_eq!(commits().await, None);
        let now = lake.require(&name).await.unwrap();
        assert_eq!(now.delta().await.unwrap().snapshot().unwrap().log_data().num_files(), 140);
        assert_eq!(commits().await, Some(0));
    }

    const METADATA: &str = r#"{"metaData":{"id":"i","format":{"provider":"parquet","options":{}},"partitionColumns":[],
        "schemaString":"{\"type\":\"struct\",\"fields\":[{\"name\":\"n\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}}]}",
        "configuration":{"delta.appendOnly":"true"}}}"#;

    fn state(commits: &[&str]) -> Result<TableState, StorageError> {
        let name: TableName = "s.t".parse().unwrap();
        let mut replay = Replay::default();
        for commit in commits {
            replay.take(parse_commit(&name, 0, commit.as_bytes()).unwrap());
        }
        replay.state(&name, 0, None, None)
    }

    #[test]
    fn a_file_that_loses_rows_is_removed_and_added_in_any_order() {
        let protocol = r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],
            "writerFeatures":["deletionVectors"]}}"#;
        let add = r#""path":"f","partitionValues":{},"size":1,"modificationTime":0,"dataChange":true,"stats":"{\"numRecords\":3}""#;
        let dv =
            r#""deletionVector":{"storageType":"u","pathOrInlineDv":"ab","offset":1,"sizeInBytes":4,"cardinality":1}"#;
        let first = format!("{{\"add\":{{{add}}}}}");
        let then = format!("{{\"add\":{{{add},{dv}}}}}\n{{\"remove\":{{\"path\":\"f\",\"dataChange\":true}}}}");
        let before = state(&[protocol, METADATA, &first]).unwrap();
        assert_eq!(before.plain_files().unwrap().len(), 1);
        let after = state(&[protocol, METADATA, &first, &then]).unwrap();
        let file = after.file("f").unwrap();
        assert_eq!((after.files().count(), file.has_deleted_rows(), file.rows()), (1, true, Some(3)));
        assert!(after.plain_files().is_none());
        assert!(matches!(state(&[protocol, &first]), Err(StorageError::Damaged { .. })));
    }

    #[test]
    fn a_commit_keeps_the_rules_of_its_table() {
        let name: TableName = "s.t".parse().unwrap();
        let protocol = |version: u8, features: &str| {
            format!("{{\"protocol\":{{\"minReaderVersion\":1,\"minWriterVersion\":{version}{features}}}}}")
        };
        let write = DeltaOperation::Delete { predicate: None };
        let restore = DeltaOperation::Restore { version: Some(0), datetime: None };
        let removes = |data_change| [Action::Remove(Remove { path: "f".into(), data_change, ..Remove::default() })];
        let old = state(&[&protocol(2, ""), METADATA]).unwrap();
        assert!(old.require_allowed(&name, &removes(false), &write).is_ok());
        assert!(old.require_allowed(&name, &removes(true), &restore).is_ok());
        let refused = old.require_allowed(&name, &removes(true), &write).unwrap_err();
        assert!(refused.to_string().contains("delta.appendOnly"), "{refused}");
        // A table of features has a rule if it names it.
        let new = state(&[&protocol(7, ",\"writerFeatures\":[\"invariants\"]"), METADATA]).unwrap();
        assert!(new.require_allowed(&name, &removes(true), &write).is_ok());
        let refusals = [(6, "", "version 6"), (7, ",\"writerFeatures\":[\"rowTracking\"]", "rowTracking")];
        for (version, features, word) in refusals {
            let state = state(&[&protocol(version, features), METADATA]).unwrap();
            let refused = state.require_allowed(&name, &[], &write).unwrap_err();
            assert!(refused.to_string().contains(word), "{refused}");
        }
    }
}
