//! A table of the lake's own: put together column by column, appended to once per ledger entry.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
        UInt64Array,
    },
    compute::cast,
    datatypes::DataType,
};
use chrono::{DateTime, Utc};
use datafusion::{execution::SendableRecordBatchStream, physical_plan::memory::MemoryStream};
use serde::Serialize;
use wardlake_core::{LedgerEntry, TableName};
use wardlake_storage::{Commit, LEDGER_RETENTION, Lake, SchemaChange, ledger_retention};

use crate::{error::RecordsError, findings};

/// The schema of the lake's own tables; readers always see their newest versions.
pub const SCHEMA: &str = "system";

/// The cells of a column that keeps values as JSON.
pub(super) fn as_json<'v, T: Serialize + 'v>(
    table: &'static str,
    what: &'static str,
    values: impl Iterator<Item = &'v T>,
) -> Result<Vec<String>, RecordsError> {
    let written = values.map(serde_json::to_string);
    written.map(|text| text.map_err(|source| RecordsError::Unwritable { table, what, source })).collect()
}

/// For how many hours one of the lake's own tables knows which runs it has rows of; none if for ever. Every run, of a wave too, adds an
/// entry to its ledger, and the entries would grow for ever.
///
/// A run's records are written once, and what is tried again is so by the same process. Findings of a model may be written down by its next
/// run, after a crash (`audit/aside.rs`). What any later process may try again has an entry of its file, feed or decision, which stays.
pub fn ledger_hours(table: &TableName) -> Option<u32> {
    const BY_RUN: [&str; 8] =
        ["accounting", "alerts", "anomalies", "kpi_bounds", "profiles", "rule_results", "run_nodes", "runs"];
    match table.schema() {
        findings::SCHEMA => Some(24),
        SCHEMA if BY_RUN.contains(&table.name()) => Some(1),
        _ => None,
    }
}

/// Properties of one of the lake's own tables when it is new.
fn properties(table: &TableName) -> BTreeMap<String, String> {
    let retention = ledger_hours(table).map(|hours| (LEDGER_RETENTION.to_owned(), ledger_retention(hours)));
    retention.into_iter().collect()
}

/// A table being put together column by column.
#[derive(Default)]
pub struct Columns(pub(super) Vec<(&'static str, ArrayRef)>);

impl Columns {
    /// Adds a column of texts.
    pub fn text<'a>(mut self, name: &'static str, values: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        self.0.push((name, Arc::new(values.into_iter().collect::<StringArray>())));
        self
    }

    /// Adds a column of counts. An error for one beyond what the lake's integers hold.
    pub fn count(
        mut self,
        name: &'static str,
        values: impl IntoIterator<Item = Option<u64>>,
    ) -> Result<Self, RecordsError> {
        let values: UInt64Array = values.into_iter().collect();
        self.0.push((name, cast(&values, &DataType::Int64)?));
        Ok(self)
    }

    /// Adds a column of fractions.
    pub fn number(mut self, name: &'static str, values: impl IntoIterator<Item = Option<f64>>) -> Self {
        self.0.push((name, Arc::new(values.into_iter().collect::<Float64Array>())));
        self
    }

    /// Adds a column of yes and no.
    pub fn flag(mut self, name: &'static str, values: impl IntoIterator<Item = bool>) -> Self {
        self.0.push((name, Arc::new(values.into_iter().map(Some).collect::<BooleanArray>())));
        self
    }

    /// Adds a column of instants, in UTC.
    pub fn instant(mut self, name: &'static str, values: impl IntoIterator<Item = DateTime<Utc>>) -> Self {
        let values: TimestampMicrosecondArray = values.into_iter().map(|at| Some(at.timestamp_micros())).collect();
        self.0.push((name, Arc::new(values.with_timezone("UTC"))));
        self
    }

    /// Adds a column of bytes as received.
    pub fn bytes<'a>(mut self, name: &'static str, values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        self.0.push((name, Arc::new(BinaryArray::from_iter_values(values))));
        self
    }

    /// The rows. An error if the columns are not of one length.
    pub fn batch(self) -> Result<RecordBatch, RecordsError> {
        Ok(RecordBatch::try_from_iter_with_nullable(self.0.into_iter().map(|(name, array)| (name, array, true)))?)
    }
}

/// Appends one batch to a system table, once per ledger entry.
pub async fn append(lake: &Lake, table: &str, batch: RecordBatch, ledger: LedgerEntry) -> Result<(), RecordsError> {
    if batch.num_rows() == 0 {
        return Ok(());
    }
    let schema = batch.schema();
    let stream = Box::pin(MemoryStream::try_new(vec![batch], schema, None)?);
    append_streams(lake, &TableName::new(SCHEMA, table)?, vec![stream], ledger).await
}

/// Appends rows to any of the lake's own tables, once per ledger entry.
pub async fn append_streams(
    lake: &Lake,
    table: &TableName,
    rows: Vec<SendableRecordBatchStream>,
    ledger: LedgerEntry,
) -> Result<(), RecordsError> {
    let (schema_change, properties) = (SchemaChange::AppendNewColumns, properties(table));
    let commit = Commit { ledger: vec![ledger], schema_change, properties, ..Commit::default() };
    lake.append(table, rows, commit).await?;
    Ok(())
}

/// Replaces all rows of one of the lake's own tables, whatever they were, once per ledger entry.
pub async fn replace(
    lake: &Lake,
    table: &TableName,
    rows: Vec<SendableRecordBatchStream>,
    ledger: LedgerEntry,
) -> Result<(), RecordsError> {
    let commit = Commit { properties: properties(table), ..Commit::consuming(vec![ledger]) };
    lake.overwrite(table, rows, commit).await?;
    Ok(())
}
