//! A lake in a temporary folder, rows from literals, and tables as sorted text.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray},
    util::pretty::pretty_format_batches,
};
use datafusion::{
    catalog::TableProvider,
    execution::{SendableRecordBatchStream, SessionState},
    physical_plan::{memory::MemoryStream, stream::RecordBatchStreamAdapter},
    prelude::SessionContext,
};
use wardlake_core::{LedgerEntry, TableName};
use wardlake_storage::{Commit, CommitOutcome, Lake, OptimizeSpec};

pub(crate) struct TestLake {
    pub(crate) lake: Arc<Lake>,
    pub(crate) folder: tempfile::TempDir,
}

impl std::ops::Deref for TestLake {
    type Target = Lake;

    fn deref(&self) -> &Lake {
        &self.lake
    }
}

pub(crate) async fn lake() -> TestLake {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap()).await.unwrap();
    TestLake { lake, folder }
}

pub(crate) fn table(name: &str) -> TableName {
    name.parse().unwrap()
}

pub(crate) fn session() -> SessionState {
    SessionContext::new().state()
}

pub(crate) fn ledger(entries: &[(&str, i64)]) -> Commit {
    Commit::consuming(entries.iter().map(|(app_id, version)| LedgerEntry::new(*app_id, *version)).collect())
}

pub(crate) fn ints(values: impl IntoIterator<Item = impl Into<Option<i64>>>) -> ArrayRef {
    Arc::new(values.into_iter().map(Into::into).collect::<Int64Array>())
}

pub(crate) fn texts<'a>(values: impl IntoIterator<Item = impl Into<Option<&'a str>>>) -> ArrayRef {
    Arc::new(values.into_iter().map(Into::into).collect::<StringArray>())
}

pub(crate) fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    let columns = columns.iter().map(|(name, column)| (*name, Arc::clone(column), true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Rows of an integer key and a text.
pub(crate) fn kv(rows: &[(Option<i64>, &str)]) -> RecordBatch {
    batch(&[("k", ints(rows.iter().map(|row| row.0))), ("v", texts(rows.iter().map(|row| row.1)))])
}

pub(crate) fn stream(batch: RecordBatch) -> Vec<SendableRecordBatchStream> {
    let schema = batch.schema();
    vec![Box::pin(MemoryStream::try_new(vec![batch], schema, None).unwrap())]
}

/// A stream that fails after its first batch.
pub(crate) fn failing(batch: RecordBatch) -> Vec<SendableRecordBatchStream> {
    let error = datafusion::error::DataFusionError::Execution("source died".into());
    let schema = batch.schema();
    vec![Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter([Ok(batch), Err(error)])))]
}

pub(crate) async fn query(provider: Arc<dyn TableProvider>, sql: &str) -> Vec<String> {
    let ctx = SessionContext::new();
    ctx.register_table("t", provider).unwrap();
    let batches = ctx.sql(sql).await.unwrap().collect().await.unwrap();
    let text = pretty_format_batches(&batches).unwrap().to_string();
    let rows = text.lines().skip(3).filter(|line| line.starts_with('|'));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(",")).collect()
}

/// All rows of a table's newest version, as sorted comma-separated lines.
pub(crate) async fn rows(lake: &Lake, name: &str) -> Vec<String> {
    rows_at(lake, name, None).await
}

pub(crate) async fn rows_at(lake: &Lake, name: &str, version: Option<u64>) -> Vec<String> {
    let snapshot = lake.snapshot(&table(name), version).await.unwrap().unwrap();
    let mut rows = query(snapshot.provider(&session()).await.unwrap(), "SELECT * FROM t").await;
    rows.sort();
    rows
}

/// Parquet files below a table's folder, committed or not.
pub(crate) fn data_files(lake: &TestLake, name: &str) -> usize {
    let name = table(name);
    let folder = lake.folder.path().join(name.schema()).join(name.name());
    let mut found = 0;
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true if entry.file_name() != "_delta_log" => folders.push(entry.path()),
                false if entry.path().extension().is_some_and(|extension| extension == "parquet") => found += 1,
                _ => {}
            }
        }
    }
    found
}

/// Merges files of the table's newest version.
pub(crate) async fn optimize(lake: &Lake, table: &TableName, spec: OptimizeSpec<'_>) -> Option<CommitOutcome> {
    let newest = lake.require(table).await.unwrap();
    lake.optimize(&session(), &newest, spec, Commit::default()).await.unwrap()
}
