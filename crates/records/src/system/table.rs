//! A table of the lake's own: put together column by column, appended to once per ledger entry.

use std::sync::Arc;

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
use wardlake_core::{LedgerEntry, TableName};
use wardlake_storage::{Commit, Lake, SchemaChange};

use crate::error::RecordsError;

/// The schema of the lake's own tables; readers always see their newest versions.
pub const SCHEMA: &str = "system";

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
    let commit = Commit { ledger: vec![ledger], schema_change: SchemaChange::AppendNewColumns, ..Commit::default() };
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
    lake.overwrite(table, rows, Commit::consuming(vec![ledger])).await?;
    Ok(())
}
