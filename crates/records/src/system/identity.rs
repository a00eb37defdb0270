//! What people decided about records of one person or of several: `system.identity_decisions`, which only grows.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::physical_plan::memory::MemoryStream;
use wardlake_core::{LedgerEntry, TableName};
use wardlake_project::Project;
use wardlake_storage::{Commit, Lake};

use super::table::SCHEMA;
use crate::error::RecordsError;

/// The table of decisions.
pub const IDENTITY_DECISIONS: &str = "identity_decisions";

/// A decision as the table has it.
#[derive(Clone, Copy, Debug)]
pub struct IdentityRow<'a> {
    /// The decision.
    pub decision_id: &'a str,
    /// When, microseconds since 1970.
    pub at_us: i64,
    /// Who.
    pub actor: &'a str,
    /// `merge`, `unmerge` or `distinct`.
    pub decision: &'a str,
    /// The two records, in order.
    pub patient_ids: [&'a str; 2],
    /// Why.
    pub reason: &'a str,
}

/// Creates the empty table of decisions if the project reads it and the lake has none yet, so that a first build finds it.
pub async fn prepare_identity(project: &Project, lake: &Lake) -> Result<(), RecordsError> {
    let name = TableName::new(SCHEMA, IDENTITY_DECISIONS)?;
    let is_read = project.sources().values().any(|source| source.relation.table_name().as_ref() == Some(&name));
    if is_read { ensure_identity(lake).await } else { Ok(()) }
}

/// Creates the empty table of decisions if the lake has none.
pub async fn ensure_identity(lake: &Lake) -> Result<(), RecordsError> {
    if lake.exists(&TableName::new(SCHEMA, IDENTITY_DECISIONS)?).await? {
        return Ok(());
    }
    append_rows(lake, None).await
}

/// Appends a decision.
pub async fn append_identity(lake: &Lake, row: IdentityRow<'_>) -> Result<(), RecordsError> {
    append_rows(lake, Some(row)).await
}

/// Without a row this creates the table.
async fn append_rows(lake: &Lake, row: Option<IdentityRow<'_>>) -> Result<(), RecordsError> {
    let text = |value: Option<&str>| Arc::new(value.into_iter().map(Some).collect::<StringArray>()) as ArrayRef;
    let at: TimestampMicrosecondArray = row.iter().map(|row| Some(row.at_us)).collect();
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("decision_id", text(row.map(|row| row.decision_id)), true),
        ("at", Arc::new(at.with_timezone("UTC")) as ArrayRef, true),
        ("actor", text(row.map(|row| row.actor)), true),
        ("decision", text(row.map(|row| row.decision)), true),
        ("patient_id_a", text(row.map(|row| row.patient_ids[0])), true),
        ("patient_id_b", text(row.map(|row| row.patient_ids[1])), true),
        ("reason", text(row.map(|row| row.reason)), true),
    ])?;
    let ledger = row.map_or_else(|| "identity:created".to_owned(), |row| format!("identity:{}", row.decision_id));
    let schema = batch.schema();
    let stream = Box::pin(MemoryStream::try_new(vec![batch], schema, None)?);
    let commit = Commit::consuming(vec![LedgerEntry::new(ledger, 1)]);
    lake.append(&TableName::new(SCHEMA, IDENTITY_DECISIONS)?, vec![stream], commit).await?;
    Ok(())
}
