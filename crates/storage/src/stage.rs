//! Appends whose columns are not known before the last row: files are written in stages, each with its own columns, and
//! committed together.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use deltalake::{
    kernel::Action,
    protocol::{DeltaOperation, SaveMode},
};
use wardlake_core::TableName;

use crate::{
    Commit, CommitOutcome, Lake, StorageError, commit::Change, replace::write_operation,
    schema_change::describe_actions, state::TableState, types::delta_schema, write::NewFiles,
};

/// Files of a table that no version names yet. Dropped without a commit they are orphans that vacuum removes.
#[derive(Debug)]
pub struct StagedFiles {
    schema: SchemaRef,
    files: NewFiles,
}

impl StagedFiles {
    /// Rows in the files.
    pub fn rows(&self) -> u64 {
        self.files.rows()
    }
}

impl Lake {
    /// Writes the rows of all streams, which share their columns, without making them visible.
    pub async fn stage(
        &self,
        table: &TableName,
        streams: Vec<SendableRecordBatchStream>,
        commit: &Commit,
    ) -> Result<StagedFiles, StorageError> {
        let handle = self.handle(table)?;
        let schema = match streams.first() {
            Some(stream) => delta_schema(&stream.schema())?,
            None => Arc::new(Schema::empty()),
        };
        let layout = handle.layout(Arc::clone(&schema), Vec::new(), commit)?;
        Ok(StagedFiles { schema, files: layout.write(streams).await? })
    }

    /// Appends staged files in one commit; creates the table if it is absent. A column that a stage lacks is NULL in its
    /// rows. Without files it still records the commit's ledger, provided the table exists.
    pub async fn append_staged(
        &self,
        table: &TableName,
        staged: Vec<StagedFiles>,
        commit: Commit,
    ) -> Result<CommitOutcome, StorageError> {
        let handle = self.handle(table)?;
        let now = handle.state().await?;
        let (mut fields, files) = together(staged);
        if let Some(version) = handle.applied_version(now.as_deref(), &commit)? {
            files.discard(&handle.store()).await;
            return Ok(CommitOutcome::AlreadyApplied { version });
        }
        if fields.is_empty() {
            let Some(now) = &now else { return Err(StorageError::TableNotFound { table: table.clone() }) };
            fields = now.schema().fields().iter().cloned().collect();
        }
        let rows: SchemaRef = Arc::new(Schema::new(fields));
        let layout = handle.layout(Arc::clone(&rows), Vec::new(), &commit)?;
        handle.append_files(&layout, &rows, files, &commit).await
    }

    /// Replaces all rows and columns of a table by staged files in one commit, which gives it the commit's properties as well. A column that
    /// a stage lacks is NULL in its rows; without files the table keeps its columns.
    pub async fn overwrite_staged(
        &self,
        table: &TableName,
        staged: Vec<StagedFiles>,
        commit: Commit,
    ) -> Result<CommitOutcome, StorageError> {
        let handle = self.handle(table)?;
        let (fields, files) = together(staged);
        let rows: SchemaRef = Arc::new(Schema::new(fields));
        let layout = handle.layout(Arc::clone(&rows), Vec::new(), &commit)?;
        let _writer = handle.writer.lock().await;
        let change = |now: Option<&TableState>| {
            let Some(now) = now else { return Err(StorageError::TableNotFound { table: table.clone() }) };
            handle.require_writable(now)?;
            let schema = if rows.fields().is_empty() { now.schema() } else { Arc::clone(&rows) };
            let (protocol, metadata) = (now.protocol(), now.metadata());
            let unpartitioned: &[String] = &[];
            let layout_now = (&schema, unpartitioned);
            let mut actions = describe_actions(table, protocol, metadata, layout_now, &commit.properties)?;
            actions.extend(now.files().map(|file| file.removed(true)));
            actions.extend(files.adds.iter().cloned().map(Action::Add));
            Ok(Change { actions, operation: write_operation(SaveMode::Overwrite, &layout, None) })
        };
        let result = handle.commit(&commit, change).await;
        handle.finish(result, files).await
    }

    /// Gives a table properties in a commit of its own; it keeps its others, its rows and its columns.
    pub async fn set_properties(&self, table: &TableName, commit: Commit) -> Result<u64, StorageError> {
        let handle = self.handle(table)?;
        let _writer = handle.writer.lock().await;
        let change = |now: Option<&TableState>| {
            let Some(now) = now else { return Err(StorageError::TableNotFound { table: table.clone() }) };
            handle.require_writable(now)?;
            let (protocol, metadata) = (now.protocol(), now.metadata());
            let (schema, partition_by) = (now.schema(), metadata.partition_columns().to_vec());
            let layout = (&schema, partition_by.as_slice());
            let actions = describe_actions(table, protocol, metadata, layout, &commit.properties)?;
            let properties = commit.properties.clone().into_iter().collect();
            Ok(Change { actions, operation: DeltaOperation::SetTableProperties { properties } })
        };
        let result = handle.commit(&commit, change).await;
        Ok(handle.finish(result, NewFiles::default()).await?.version())
    }

    /// Deletes staged files that will not be committed.
    pub async fn discard_staged(&self, table: &TableName, staged: Vec<StagedFiles>) -> Result<(), StorageError> {
        let store = self.handle(table)?.store();
        for stage in staged {
            stage.files.discard(&store).await;
        }
        Ok(())
    }
}

/// The columns of all stages, in the order in which they first came, and their files.
fn together(staged: Vec<StagedFiles>) -> (Vec<FieldRef>, NewFiles) {
    let mut files = NewFiles::default();
    let mut fields: Vec<FieldRef> = Vec::new();
    for stage in staged {
        for field in stage.schema.fields() {
            if !fields.iter().any(|known| known.name() == field.name()) {
                fields.push(Arc::clone(field));
            }
        }
        files.adds.extend(stage.files.adds);
    }
    (fields, files)
}
