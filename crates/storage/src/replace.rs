//! Appending rows to a table, and replacing all of its rows. Files are written before the table's lock is taken.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use deltalake::{
    kernel::Action,
    protocol::{DeltaOperation, SaveMode},
};
use wardlake_core::TableName;

use crate::{
    Commit, CommitOutcome, Lake, StorageError,
    commit::{Change, Committed},
    schema_change::{SchemaChange, SchemaDiff, change_actions, create_actions, reconcile, require_columns},
    state::TableState,
    table::TableHandle,
    types::{delta_schema, same_type},
    write::{FileLayout, NewFiles},
};

impl Lake {
    /// Appends the rows of all streams in one commit, each stream in a task of its own. Creates the table if it is absent.
    pub async fn append(
        &self,
        table: &TableName,
        streams: Vec<SendableRecordBatchStream>,
        commit: Commit,
    ) -> Result<CommitOutcome, StorageError> {
        let handle = self.handle(table)?;
        let now = handle.state().await?;
        if let Some(version) = handle.applied_version(now.as_deref(), &commit)? {
            return Ok(CommitOutcome::AlreadyApplied { version });
        }
        let rows = rows_schema(table, &streams, now.as_deref())?;
        let (schema, partition_by) = match &now {
            Some(now) => {
                let own = now.schema();
                if commit.schema_change == SchemaChange::SyncAllColumns && SchemaDiff::of(&own, &rows).needs_rewrite() {
                    return self.append_and_sync(&handle, streams, rows, commit).await;
                }
                (reconcile(table, &own, &rows, commit.schema_change)?, now.partition_columns().to_vec())
            }
            None => (Arc::clone(&rows), commit.partition_by.clone()),
        };
        let layout = handle.layout(schema, partition_by, &commit)?;
        let files = layout.write(streams).await?;
        handle.append_files(&layout, &rows, files, &commit).await
    }

    /// Replaces all rows, columns and partitioning in one commit; creates the table if it is absent. Readers see the old rows
    /// or the new ones.
    pub async fn overwrite(
        &self,
        table: &TableName,
        streams: Vec<SendableRecordBatchStream>,
        commit: Commit,
    ) -> Result<CommitOutcome, StorageError> {
        let handle = self.handle(table)?;
        let now = handle.state().await?;
        if let Some(version) = handle.applied_version(now.as_deref(), &commit)? {
            return Ok(CommitOutcome::AlreadyApplied { version });
        }
        let rows = rows_schema(table, &streams, now.as_deref())?;
        let layout = handle.layout(rows, commit.partition_by.clone(), &commit)?;
        let files = layout.write(streams).await?;
        let _writer = handle.writer.lock().await;
        let change = |now: Option<&TableState>| {
            let mut actions = match now {
                None => create_actions(table, &layout.schema, &layout.partition_by, &commit.properties)?,
                Some(now) => {
                    let mut actions = handle.relayout(now, &layout)?;
                    actions.extend(now.files().map(|file| file.removed(true)));
                    actions
                }
            };
            actions.extend(files.adds.iter().cloned().map(Action::Add));
            Ok(Change { actions, operation: write_operation(SaveMode::Overwrite, &layout, None) })
        };
        let result = handle.commit(&commit, change).await;
        handle.finish(result, files).await
    }
}

/// The stored schema of the streams' rows; without streams, the table's own.
fn rows_schema(
    name: &TableName,
    streams: &[SendableRecordBatchStream],
    now: Option<&TableState>,
) -> Result<SchemaRef, StorageError> {
    match (streams.first(), now) {
        (Some(stream), _) => delta_schema(&stream.schema()),
        (None, Some(now)) => Ok(now.schema()),
        (None, None) => Err(StorageError::TableNotFound { table: name.clone() }),
    }
}

pub(crate) fn write_operation(mode: SaveMode, layout: &FileLayout, predicate: Option<String>) -> DeltaOperation {
    let partition_by = (!layout.partition_by.is_empty()).then(|| layout.partition_by.clone());
    DeltaOperation::Write { mode, partition_by, predicate }
}

fn same_schema(left: &Schema, right: &Schema) -> bool {
    let same = |(left, right): (&Arc<arrow::datatypes::Field>, &Arc<arrow::datatypes::Field>)| {
        left.name() == right.name()
            && left.is_nullable() == right.is_nullable()
            && same_type(left.data_type(), right.data_type())
    };
    left.fields().len() == right.fields().len() && left.fields().iter().zip(right.fields()).all(same)
}

impl TableHandle {
    /// Makes written files visible beside those the table has, in one commit; creates the table if it is absent.
    pub(crate) async fn append_files(
        &self,
        layout: &FileLayout,
        rows: &SchemaRef,
        files: NewFiles,
        commit: &Commit,
    ) -> Result<CommitOutcome, StorageError> {
        let _writer = self.writer.lock().await;
        let change = |now: Option<&TableState>| {
            let mut actions = match now {
                None => create_actions(&self.name, &layout.schema, &layout.partition_by, &commit.properties)?,
                Some(now) => self.evolve(now, layout, rows, commit.schema_change)?,
            };
            actions.extend(files.adds.iter().cloned().map(Action::Add));
            Ok(Change { actions, operation: write_operation(SaveMode::Append, layout, None) })
        };
        let result = self.commit(commit, change).await;
        self.finish(result, files).await
    }

    /// The table's version if it already has everything the commit consumed.
    pub(crate) fn applied_version(
        &self,
        now: Option<&TableState>,
        commit: &Commit,
    ) -> Result<Option<u64>, StorageError> {
        match now.filter(|_| !commit.ledger.is_empty()) {
            Some(now) => Ok(self.is_applied(now, &commit.ledger)?.then_some(now.version())),
            None => Ok(None),
        }
    }

    pub(crate) fn layout(
        &self,
        schema: SchemaRef,
        partition_by: Vec<String>,
        commit: &Commit,
    ) -> Result<FileLayout, StorageError> {
        require_columns(&self.name, &schema, &partition_by, "partition column")?;
        let (table, store, options) = (self.name.clone(), self.store(), commit.options.clone());
        Ok(FileLayout { table, store, schema, partition_by, options, replaces: None })
    }

    /// The actions by which the newest state of the table gets the columns of files laid out on an earlier one.
    pub(crate) fn evolve(
        &self,
        now: &TableState,
        layout: &FileLayout,
        rows: &SchemaRef,
        change: SchemaChange,
    ) -> Result<Vec<Action>, StorageError> {
        self.require_writable(now)?;
        let own = now.schema();
        let next = reconcile(&self.name, &own, rows, change)?;
        // Another process may have changed the table since the files were written; theirs stay readable if the types agree.
        let retyped = !SchemaDiff::of(&next, &layout.schema).retyped.is_empty();
        if retyped || now.partition_columns() != layout.partition_by {
            return Err(StorageError::Conflict { table: self.name.to_string(), attempts: 1 });
        }
        if same_schema(&own, &next) {
            return Ok(Vec::new());
        }
        change_actions(&self.name, now.protocol(), now.metadata(), &next, &layout.partition_by)
    }

    /// The actions by which the table gets exactly the columns and partitioning of `layout`.
    pub(crate) fn relayout(&self, now: &TableState, layout: &FileLayout) -> Result<Vec<Action>, StorageError> {
        self.require_writable(now)?;
        if now.partition_columns() == layout.partition_by && same_schema(&now.schema(), &layout.schema) {
            return Ok(Vec::new());
        }
        change_actions(&self.name, now.protocol(), now.metadata(), &layout.schema, &layout.partition_by)
    }

    /// Files written here would break tables of other tools that promise more than their types.
    pub(crate) fn require_writable(&self, now: &TableState) -> Result<(), StorageError> {
        let unsupported = |feature: String| Err(StorageError::UnsupportedTable { table: self.name.clone(), feature });
        for (key, value) in now.metadata().configuration() {
            let column_mapping = key == "delta.columnMapping.mode" && value != "none";
            if column_mapping || key.starts_with("delta.constraints.") {
                return unsupported(key.clone());
            }
        }
        let rules = ["delta.generationExpression", "delta.invariants", "delta.identity.start"];
        for field in now.schema().fields() {
            if let Some(rule) = rules.iter().find(|rule| field.metadata().contains_key(**rule)) {
                return unsupported(format!("{rule} (column {})", field.name()));
            }
        }
        Ok(())
    }

    /// The outcome of a commit; deletes the files that no version names.
    pub(crate) async fn finish(
        &self,
        result: Result<Committed, StorageError>,
        files: NewFiles,
    ) -> Result<CommitOutcome, StorageError> {
        let (rows, bytes) = (files.rows(), files.bytes());
        match result {
            Ok(Committed::Version(version)) => Ok(CommitOutcome::Committed { version, rows, bytes }),
            Ok(Committed::AlreadyApplied(version)) => {
                files.discard(&self.store()).await;
                Ok(CommitOutcome::AlreadyApplied { version })
            }
            // An error of the store may hide that the entry was written: vacuum tells orphans from data later.
            Err(error @ (StorageError::Store { .. } | StorageError::Delta { .. } | StorageError::Io { .. })) => {
                Err(error)
            }
            Err(error) => {
                files.discard(&self.store()).await;
                Err(error)
            }
        }
    }
}
