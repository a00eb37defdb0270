//! A table's `_delta_log` as files: which versions there are, and what they say, line by line.

use std::{collections::BTreeMap, sync::Arc};

use arrow::json::LineDelimitedWriter;
use bytes::Bytes;
use deltalake::{
    kernel::{Add, CommitInfo, Metadata, Protocol, Remove, Transaction, Version},
    logstore::LogStoreRef,
};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    },
    errors::ParquetError,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use wardlake_core::TableName;

use crate::{
    StorageError,
    checksum::{is_as_noted, is_commit_as_written, note_of},
};

/// What is read of a checkpoint. Statistics may be there twice: those in columns have another shape for each table.
const CHECKPOINT_COLUMNS: [&str; 15] = [
    "protocol",
    "metaData",
    "txn",
    "sidecar",
    "add.path",
    "add.partitionValues",
    "add.size",
    "add.modificationTime",
    "add.dataChange",
    "add.stats",
    "add.tags",
    "add.deletionVector",
    "add.baseRowId",
    "add.defaultRowCommitVersion",
    "add.clusteringProvider",
];

/// The log's files at one moment.
#[derive(Debug, Default, Clone)]
pub(crate) struct LogFiles {
    /// Versions whose commit file is there, ascending.
    pub(crate) commits: Vec<Version>,
    /// Version and files of each checkpoint that is complete, ascending.
    pub(crate) checkpoints: Vec<(Version, Vec<Path>)>,
}

impl LogFiles {
    pub(crate) async fn list(log_store: &LogStoreRef) -> Result<Self, StorageError> {
        let folder = Path::from("_delta_log");
        let list = log_store.object_store(None).list_with_delimiter(Some(&folder)).await;
        let objects = list.map_err(StorageError::store("list", log_store.root_url()))?.objects;
        Ok(Self::of(objects.into_iter().map(|object| object.location)))
    }

    fn of(paths: impl Iterator<Item = Path>) -> Self {
        let mut files = Self::default();
        // Of one version there may be several, by other engines: each has its own number of files.
        let mut checkpoints: BTreeMap<(Version, String), (usize, Vec<Path>)> = BTreeMap::new();
        for path in paths {
            let Some((digits, rest)) = path.filename().and_then(|name| name.split_at_checked(20)) else { continue };
            let Ok(version) = digits.parse::<Version>() else { continue };
            let (kind, of) = match rest.split('.').collect::<Vec<_>>()[..] {
                ["", "json"] => {
                    files.commits.push(version);
                    continue;
                }
                ["", "checkpoint", "parquet"] => ("", 1),
                ["", "checkpoint", uuid, "parquet" | "json"] => (uuid, 1),
                ["", "checkpoint", _, of, "parquet"] => (of, of.parse().unwrap_or(usize::MAX)),
                _ => continue,
            };
            let parts = checkpoints.entry((version, kind.to_owned())).or_insert((of, Vec::new()));
            parts.1.push(path);
        }
        let complete = checkpoints.into_iter().filter(|(_, (of, parts))| parts.len() == *of);
        files.checkpoints = complete.map(|((version, _), (_, parts))| (version, parts)).collect();
        files.commits.sort_unstable();
        files
    }

    pub(crate) fn newest(&self) -> Option<Version> {
        self.commits.last().copied().max(self.checkpoints.last().map(|(version, _)| *version))
    }
}

/// A line of a commit or checkpoint: one of these, or something that nothing here depends on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line {
    pub(crate) add: Option<Box<Add>>,
    pub(crate) remove: Option<Box<Remove>>,
    pub(crate) txn: Option<Transaction>,
    #[serde(default, deserialize_with = "metadata")]
    pub(crate) meta_data: Option<Box<Metadata>>,
    pub(crate) protocol: Option<Box<Protocol>>,
    sidecar: Option<Sidecar>,
}

/// A file that holds a part of a checkpoint.
#[derive(Debug, Deserialize)]
struct Sidecar {
    path: String,
}

/// A checkpoint may leave out what is empty, which the library's own type does not allow for.
fn metadata<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Box<Metadata>>, D::Error> {
    let Some(mut found) = Option::<Map<String, Value>>::deserialize(deserializer)? else { return Ok(None) };
    let empty =
        [("partitionColumns", json!([])), ("configuration", json!({})), ("format", json!({"provider": "parquet"}))];
    for (name, empty) in empty {
        if found.get(name).is_none_or(Value::is_null) {
            found.insert(name.to_owned(), empty);
        }
    }
    if let Some(Value::Object(format)) = found.get_mut("format") {
        format.entry("options").or_insert_with(|| json!({}));
    }
    serde_json::from_value(Value::Object(found)).map(Some).map_err(serde::de::Error::custom)
}

/// What is written in lines; else what is wrong with it, without the values that are there.
fn entries<L: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<L>, String> {
    let lines = serde_json::Deserializer::from_slice(bytes).into_iter::<L>().collect::<Result<_, _>>();
    lines.map_err(|error| format!("line {}, column {} is no entry of a log", error.line(), error.column()))
}

/// What a commit file says, if it is what was written.
fn commit_entries<L: DeserializeOwned>(
    table: &TableName,
    version: Version,
    bytes: &[u8],
) -> Result<Vec<L>, StorageError> {
    let lines = match is_commit_as_written(bytes) {
        true => entries(bytes),
        false => Err("it is not what was written: its checksum is of other bytes".to_owned()),
    };
    // Every commit says at least who made it.
    let lines = lines.and_then(|lines| if lines.is_empty() { Err("it is empty".to_owned()) } else { Ok(lines) });
    let path = || format!("{}/{}/_delta_log/{version:020}.json", table.schema(), table.name());
    lines.map_err(|reason| StorageError::Damaged { path: path(), reason })
}

/// What a commit file says of the table.
pub(crate) fn parse_commit(table: &TableName, version: Version, bytes: &[u8]) -> Result<Vec<Line>, StorageError> {
    commit_entries(table, version, bytes)
}

/// What one commit says; `HistoryGone` if its file is no longer there.
pub(crate) async fn commit_lines(
    table: &TableName,
    log_store: &LogStoreRef,
    version: Version,
) -> Result<Vec<Line>, StorageError> {
    parse_commit(table, version, &commit_bytes(table, log_store, version).await?)
}

/// What one commit says about itself, if anything; `HistoryGone` if its file is no longer there.
pub(crate) async fn commit_info(
    table: &TableName,
    log_store: &LogStoreRef,
    version: Version,
) -> Result<Option<CommitInfo>, StorageError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Told {
        commit_info: Option<CommitInfo>,
    }
    let bytes = commit_bytes(table, log_store, version).await?;
    let lines: Vec<Told> = commit_entries(table, version, &bytes)?;
    Ok(lines.into_iter().find_map(|line| line.commit_info))
}

async fn commit_bytes(table: &TableName, log_store: &LogStoreRef, version: Version) -> Result<Bytes, StorageError> {
    let bytes = log_store.read_commit_entry(version).await.map_err(StorageError::delta(table))?;
    bytes.ok_or_else(|| StorageError::HistoryGone { table: table.clone(), version })
}

/// What a checkpoint says that lies in these files and those that they name.
pub(crate) async fn checkpoint_lines(
    table: &TableName,
    log_store: &LogStoreRef,
    files: &[Path],
) -> Result<Vec<Line>, StorageError> {
    let mut lines = Vec::new();
    for file in files {
        lines.extend(file_lines(table, log_store, file).await?);
    }
    let named = lines.iter().filter_map(|line| line.sidecar.as_ref());
    let named: Vec<Path> = named.map(|file| Path::from(format!("_delta_log/_sidecars/{}", file.path))).collect();
    for file in &named {
        lines.extend(file_lines(table, log_store, file).await?);
    }
    // A partition whose value is NULL has none any more, once its line was text.
    let metadata = lines.iter().find_map(|line| line.meta_data.as_ref());
    let columns = metadata.map_or_else(Vec::new, |metadata| metadata.partition_columns().to_vec());
    for add in lines.iter_mut().filter_map(|line| line.add.as_mut()) {
        for column in &columns {
            add.partition_values.entry(column.clone()).or_default();
        }
    }
    Ok(lines)
}

/// The checkpoint that is written of a version.
pub(crate) fn checkpoint_path(version: Version) -> Path {
    Path::from(format!("_delta_log/{version:020}.checkpoint.parquet"))
}

/// Where the checksum of a checkpoint's file lies, which has none of its own. Readers of Delta pass over such files.
fn checksum_path(checkpoint: &Path) -> Option<Path> {
    let stem = checkpoint.as_ref().strip_suffix(".parquet")?;
    stem.ends_with(".checkpoint").then(|| Path::from(format!("{stem}.sum")))
}

async fn read_file(store: &Arc<dyn ObjectStore>, file: &Path) -> object_store::Result<Bytes> {
    store.get(file).await?.bytes().await
}

/// The same, or none if it is not there.
async fn read_if_there(store: &Arc<dyn ObjectStore>, file: &Path) -> Result<Option<Bytes>, StorageError> {
    match read_file(store, file).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(StorageError::store("read", file)(error)),
    }
}

/// Notes the checksum of a checkpoint that was just written.
pub(crate) async fn note_checkpoint(
    table: &TableName,
    log_store: &LogStoreRef,
    version: Version,
) -> Result<(), StorageError> {
    let (store, file) = (log_store.object_store(None), checkpoint_path(version));
    let (Some(path), Some(bytes)) = (checksum_path(&file), read_if_there(&store, &file).await?) else {
        return Ok(());
    };
    let note = tokio::task::spawn_blocking(move || note_of(&bytes)).await.map_err(StorageError::task(table))?;
    store.put(&path, note.into()).await.map(drop).map_err(StorageError::store("write", &path))
}

/// What was noted of a checkpoint's file, if anything.
async fn noted(store: &Arc<dyn ObjectStore>, file: &Path) -> Result<Option<Bytes>, StorageError> {
    match checksum_path(file) {
        Some(path) => read_if_there(store, &path).await,
        None => Ok(None),
    }
}

async fn file_lines(table: &TableName, log_store: &LogStoreRef, file: &Path) -> Result<Vec<Line>, StorageError> {
    let store = log_store.object_store(None);
    let (bytes, note) = tokio::join!(read_file(&store, file), noted(&store, file));
    let (bytes, note) = (bytes.map_err(StorageError::store("read", file))?, note?);
    let is_text = file.extension() == Some("json");
    // A table of many files has a checkpoint of many rows: others go on meanwhile.
    let parsed = tokio::task::spawn_blocking(move || {
        if note.is_some_and(|note| !is_as_noted(&bytes, &note)) {
            return Err("it is not what was written: its checksum is of other bytes".to_owned());
        }
        match is_text {
            true => entries(&bytes),
            false => parquet_lines(bytes).map_err(|error| error.to_string()),
        }
    });
    let parsed = parsed.await.map_err(StorageError::task(table))?;
    parsed
        .map_err(|reason| StorageError::Damaged { path: format!("{}/{}/{file}", table.schema(), table.name()), reason })
}

/// The rows of a checkpoint have the shape of a commit's lines: as text they are read the same way.
fn parquet_lines(bytes: Bytes) -> Result<Vec<Line>, ParquetError> {
    // What a file says of its types beside its columns is not needed, and the library panics where that is damaged.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), CHECKPOINT_COLUMNS);
    let mut lines = Vec::new();
    for batch in builder.with_projection(mask).build()? {
        let mut text = LineDelimitedWriter::new(Vec::<u8>::new());
        text.write(&batch?)?;
        text.finish()?;
        lines.extend(entries::<Line>(&text.into_inner()).map_err(ParquetError::General)?);
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_of_all_kinds_are_found_and_unfinished_ones_are_not() {
        let names = [
            "00000000000000000003.json",
            "00000000000000000002.json",
            "00000000000000000003.crc",
            "00000000000000000004.checkpoint.sum",
            "00000000000000000002.checkpoint.parquet",
            "00000000000000000003.checkpoint.0000000001.0000000002.parquet",
            "00000000000000000005.checkpoint.0000000001.0000000002.parquet",
            "00000000000000000005.checkpoint.0000000002.0000000002.parquet",
            "00000000000000000006.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json",
            "00000000000000000000.00000000000000000002.compacted.json",
            "_last_checkpoint",
        ];
        let files = LogFiles::of(names.iter().map(|name| Path::from(format!("_delta_log/{name}"))));
        assert_eq!(files.commits, [2, 3]);
        let found: Vec<_> = files.checkpoints.iter().map(|(version, parts)| (*version, parts.len())).collect();
        assert_eq!(found, [(2, 1), (5, 2), (6, 1)]);
        assert_eq!(files.newest(), Some(6));
    }

    #[test]
    fn lines_that_nothing_depends_on_are_passed_over() {
        let text = br#"{"checkpointMetadata":{"version":1}}
            {"commitInfo":{"operation":"WRITE"}}
            {"txn":{"appId":"a","version":4}}
            {"metaData":{"id":"i","schemaString":"{}","format":{"provider":"parquet"}}}"#;
        let lines: Vec<Line> = entries(text).unwrap();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines.iter().filter_map(|line| line.txn.as_ref()).map(|txn| txn.version).collect::<Vec<_>>(), [4]);
        assert_eq!(lines[3].meta_data.as_ref().unwrap().id(), "i");
        assert!(entries::<Line>(br#"{"add":"#).is_err());
    }
}
