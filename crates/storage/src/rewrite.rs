//! Copy on write: files that hold a row to change are read, written anew with the change, and exchanged in one commit.
//!
//! A rewrite is worked out on one version of the table. If another process commits meanwhile, it is worked out again: rows that
//! appeared could be rows it has to change.

use std::{collections::HashSet, sync::Arc};

use arrow::{array::AsArray, datatypes::DataType};
use async_trait::async_trait;
use datafusion::{
    common::{Column, TableReference},
    dataframe::DataFrame,
    datasource::provider_as_source,
    execution::{SendableRecordBatchStream, SessionState},
    logical_expr::{Expr, LogicalPlanBuilder, cast, lit},
    prelude::SessionContext,
};
use deltalake::{
    delta_datafusion::FileSelection,
    kernel::{Action, Add},
    protocol::{DeltaOperation, SaveMode},
};

use crate::{
    Commit, CommitOutcome, Lake, StorageError, TableSnapshot,
    commit::{Change, Committed},
    replace::write_operation,
    state::{DataFile, TableState},
    table::TableHandle,
    write::{FileLayout, NewFiles},
};
use arrow::datatypes::SchemaRef;

/// Attempts of a whole rewrite against writers of other processes.
const ATTEMPTS: u32 = 5;
/// Scans add the file of each row under this name.
pub(crate) const FILE_COLUMN: &str = "__wardlake_file";

/// What a rewrite exchanges.
pub(crate) struct Rewritten {
    pub(crate) removed: Vec<Arc<DataFile>>,
    pub(crate) files: NewFiles,
    /// Whether the rows changed, not only their files.
    pub(crate) data_change: bool,
    pub(crate) layout: FileLayout,
    pub(crate) operation: DeltaOperation,
}

impl Rewritten {
    /// The exchange of the files.
    pub(crate) fn actions(&self) -> impl Iterator<Item = Action> {
        let data_change = self.data_change;
        let removed = self.removed.iter().map(move |file| file.removed(data_change));
        removed.chain(self.files.adds.iter().map(move |add| Action::Add(Add { data_change, ..add.clone() })))
    }
}

/// One kind of rewrite.
#[async_trait]
pub(crate) trait Rewrite: Send + Sync {
    /// Works the rewrite out on one version of the table.
    async fn rewrite(&self, base: &TableSnapshot) -> Result<Rewritten, StorageError>;
}

impl Lake {
    /// Rewrites and commits; `appended` are files of new rows that go into the same commit.
    ///
    /// The caller holds the writer lock, and the table exists.
    pub(crate) async fn commit_rewrite(
        &self,
        handle: &Arc<TableHandle>,
        commit: &Commit,
        rewrite: &dyn Rewrite,
        appended: NewFiles,
    ) -> Result<CommitOutcome, StorageError> {
        for _ in 0..ATTEMPTS {
            let now = handle.state().await?;
            if let Some(version) = handle.applied_version(now.as_deref(), commit)? {
                return handle.finish(Ok(Committed::AlreadyApplied(version)), appended).await;
            }
            let now = now.ok_or_else(|| StorageError::TableNotFound { table: handle.name.clone() })?;
            let base = TableSnapshot::new(Arc::clone(handle), now);
            let rewritten = rewrite.rewrite(&base).await?;
            let layout = &rewritten.layout;
            if layout.replaces.as_ref().is_some_and(|columns| *columns != base.schema()) {
                rewritten.files.discard(&handle.store()).await;
                break;
            }
            let is_noop = rewritten.removed.is_empty() && rewritten.files.adds.is_empty() && appended.adds.is_empty();
            if is_noop && commit.ledger.is_empty() && handle.relayout(&base.state, layout)?.is_empty() {
                return Ok(CommitOutcome::AlreadyApplied { version: base.version() });
            }
            let change = |now: Option<&TableState>| {
                let now = now.filter(|now| now.version() == base.version());
                let Some(now) = now else {
                    return Err(StorageError::Conflict { table: handle.name.to_string(), attempts: 1 });
                };
                let mut actions = handle.relayout(now, layout)?;
                actions.extend(rewritten.actions());
                let appended = appended.adds.iter().map(|add| Action::Add(Add { data_change: true, ..add.clone() }));
                actions.extend(appended);
                Ok(Change { actions, operation: rewritten.operation.clone() })
            };
            match handle.commit(commit, change).await {
                Err(StorageError::Conflict { .. }) => rewritten.files.discard(&handle.store()).await,
                result => {
                    let adds = rewritten.files.adds.into_iter().chain(appended.adds).collect();
                    return handle.finish(result, NewFiles { adds }).await;
                }
            }
        }
        appended.discard(&handle.store()).await;
        Err(StorageError::Conflict { table: handle.name.to_string(), attempts: ATTEMPTS })
    }

    /// Appends rows whose columns replace the table's: its old rows are rewritten with them in the same commit.
    pub(crate) async fn append_and_sync(
        &self,
        handle: &Arc<TableHandle>,
        streams: Vec<SendableRecordBatchStream>,
        schema: SchemaRef,
        commit: Commit,
    ) -> Result<CommitOutcome, StorageError> {
        let _writer = handle.writer.lock().await;
        let base = self.require(&handle.name).await?;
        let partition_by =
            base.partition_columns().into_iter().filter(|column| schema.column_with_name(column).is_some());
        let mut layout = handle.layout(Arc::clone(&schema), partition_by.collect(), &commit)?;
        layout.replaces = Some(base.schema());
        let appended = layout.write(streams).await?;
        self.commit_rewrite(handle, &commit, &SyncColumns { layout, session: SessionContext::new().state() }, appended)
            .await
    }
}

/// Rewrites every file with other columns.
struct SyncColumns {
    layout: FileLayout,
    session: SessionState,
}

#[async_trait]
impl Rewrite for SyncColumns {
    async fn rewrite(&self, base: &TableSnapshot) -> Result<Rewritten, StorageError> {
        let removed = base.data_files();
        let rows = base.scan(&self.session, "t", None, false).await?;
        let own = base.schema();
        let columns = self.layout.schema.fields().iter().map(|field| {
            let value = match own.column_with_name(field.name()) {
                Some(_) => column("t", field.name()),
                None => lit(datafusion::scalar::ScalarValue::Null),
            };
            cast(value, field.data_type().clone()).alias(field.name())
        });
        let rows = rows.select(columns.collect::<Vec<_>>()).map_err(StorageError::query(base.name()))?;
        let streams = base.streams(rows).await?;
        Ok(Rewritten {
            removed,
            files: self.layout.write(streams).await?,
            data_change: false,
            operation: write_operation(SaveMode::Append, &self.layout, None),
            layout: self.layout.clone(),
        })
    }
}

/// A column by its exact name.
pub(crate) fn column(relation: &str, name: &str) -> Expr {
    Expr::Column(Column::new(Some(TableReference::bare(relation)), name))
}

impl TableSnapshot {
    /// The rows of this version, or of some of its files, as the relation `alias`; with their file on request.
    pub(crate) async fn scan(
        &self,
        session: &SessionState,
        alias: &str,
        files: Option<&[Arc<DataFile>]>,
        with_file: bool,
    ) -> Result<DataFrame, StorageError> {
        let mut builder = self.delta().await?.table_provider().with_session(Arc::new(session.clone()));
        if let Some(files) = files {
            builder = builder.with_file_selection(selection(files));
        }
        if with_file {
            builder = builder.with_file_column(FILE_COLUMN);
        }
        let query = || StorageError::query(self.name());
        let provider = builder.await.map_err(query())?;
        let plan = LogicalPlanBuilder::scan(TableReference::bare(alias), provider_as_source(provider), None)
            .and_then(LogicalPlanBuilder::build)
            .map_err(query())?;
        Ok(DataFrame::new(session.clone(), plan))
    }

    /// Starts a query, one stream per partition.
    pub(crate) async fn streams(&self, rows: DataFrame) -> Result<Vec<SendableRecordBatchStream>, StorageError> {
        rows.execute_stream_partitioned().await.map_err(StorageError::query(self.name()))
    }

    /// The files named by the file column of `rows`.
    pub(crate) async fn files_of(&self, rows: DataFrame) -> Result<Vec<Arc<DataFile>>, StorageError> {
        let query = || StorageError::query(self.name());
        let file = cast(Expr::Column(Column::from_name(FILE_COLUMN)), DataType::Utf8).alias("file");
        let rows = rows.select(vec![file]).and_then(DataFrame::distinct).map_err(query())?;
        let root = self.handle.log_store.root_url().as_str().trim_end_matches('/').to_owned();
        let mut found = HashSet::new();
        for batch in rows.collect().await.map_err(query())? {
            for file in batch.column(0).as_string::<i32>().iter().flatten() {
                let relative = file.strip_prefix(&root).unwrap_or(file).trim_start_matches('/');
                found.insert(percent_decode(relative));
            }
        }
        Ok(self.data_files().into_iter().filter(|file| found.contains(file.path())).collect())
    }
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                digit(high).zip(digit(low)).map(|(high, low)| (high * 16 + low) as u8)
            }
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The selection of files in a scan.
pub(crate) fn selection(files: &[Arc<DataFile>]) -> FileSelection {
    // The selection reads nothing but the path, and only that of an action is encoded as the log does.
    let named = |file: &Arc<DataFile>| Add { path: file.path().to_owned(), ..Add::default() };
    FileSelection::from_adds(files.iter().map(named))
}
