//! Appends whose columns are not known before the last row: files are written in stages, each with its own columns, and
//! committed together.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use wardlake_core::TableName;

use crate::{Commit, CommitOutcome, Lake, StorageError, types::delta_schema, write::NewFiles};

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
        let mut files = NewFiles::default();
        let mut fields = Vec::new();
        for stage in staged {
            for field in stage.schema.fields() {
                if !fields.iter().any(|known: &Arc<arrow::datatypes::Field>| known.name() == field.name()) {
                    fields.push(Arc::clone(field));
                }
            }
            files.adds.extend(stage.files.adds);
        }
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

    /// Deletes staged files that will not be committed.
    pub async fn discard_staged(&self, table: &TableName, staged: Vec<StagedFiles>) -> Result<(), StorageError> {
        let store = self.handle(table)?.store();
        for stage in staged {
            stage.files.discard(&store).await;
        }
        Ok(())
    }
}
