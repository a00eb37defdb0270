//! What every bronze table has beside the source's own columns, and how what is read gets the columns of its table.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array},
    datatypes::{DataType, Field, Schema, TimeUnit},
    error::ArrowError,
};
use datafusion::physical_plan::memory::MemoryStream;
use wardlake_connect::{
    Chunk, FileTable, KeptRecords,
    source::{RAW, RECORD},
};
use wardlake_core::{TableName, columns::ColumnList, lineage, push_hex};
use wardlake_storage::Commit;

use crate::{Workspace, error::LoadError, reading};

/// The lineage columns of some rows of one file or delivery.
pub(crate) struct Lineage<'a> {
    /// `<source>.<table>`.
    pub(crate) source: &'a str,
    /// The file, journal segment or `topic/partition`.
    pub(crate) file: &'a str,
    /// The load.
    pub(crate) batch_id: &'a str,
    pub(crate) received: TimestampMicrosecondArray,
    pub(crate) positions: Int64Array,
    pub(crate) hashes: StringArray,
    pub(crate) changes: StringArray,
    /// The records behind the rows, where the table keeps them.
    pub(crate) kept: Option<KeptRecords>,
}

impl Lineage<'_> {
    /// Appends the columns in the order of [`lineage::ALL`], and the kept records behind them.
    pub(crate) fn push(self, fields: &mut Vec<Field>, arrays: &mut Vec<ArrayRef>) {
        let rows = self.positions.len();
        let repeated = |text: &str| Arc::new(StringArray::new_repeated(text, rows)) as ArrayRef;
        let received = self.received.with_timezone("UTC");
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let columns: [(&str, DataType, ArrayRef); 7] = [
            (lineage::SOURCE, DataType::Utf8, repeated(self.source)),
            (lineage::FILE, DataType::Utf8, repeated(self.file)),
            (lineage::POSITION, DataType::Int64, Arc::new(self.positions)),
            (lineage::RECEIVED_AT, instant, Arc::new(received)),
            (lineage::BATCH_ID, DataType::Utf8, repeated(self.batch_id)),
            (lineage::ROW_HASH, DataType::Utf8, Arc::new(self.hashes)),
            (lineage::CHANGE, DataType::Utf8, Arc::new(self.changes)),
        ];
        for (name, data_type, array) in columns {
            fields.push(Field::new(name, data_type, true));
            arrays.push(array);
        }
        if let Some(kept) = self.kept {
            fields.extend(kept_fields());
            arrays.extend([Arc::new(kept.texts) as ArrayRef, Arc::new(kept.records)]);
        }
    }
}

/// The columns of kept records.
pub(crate) fn kept_fields() -> [Field; 2] {
    [Field::new(RAW, DataType::Utf8, true), Field::new(RECORD, DataType::Int64, true)]
}

/// No record.
pub(crate) fn no_records(rows: usize) -> KeptRecords {
    KeptRecords { texts: StringArray::new_null(rows), records: Int64Array::new_null(rows) }
}

/// The columns of a bronze table that are the source's own, in table order.
pub fn own_columns(schema: &Schema) -> Vec<String> {
    // What a source calls `_record` is text.
    let keeps_raw = schema.field_with_name(RECORD).is_ok_and(|field| *field.data_type() == DataType::Int64);
    let is_kept = |name: &str| keeps_raw && [RAW, RECORD].contains(&name);
    let names = schema.fields().iter().map(|field| field.name().clone());
    names.filter(|name| !lineage::is_lineage(name) && !is_kept(name)).collect()
}

/// The columns of a table that is not there yet, as its source file describes them. Lineage columns, and those of kept records, may be
/// described, too.
pub(crate) fn declared_columns(described: &[String], table: &FileTable) -> ColumnList {
    let is_kept = |name: &str| table.keep_raw && [RAW, RECORD].iter().any(|own| own.eq_ignore_ascii_case(name));
    described.iter().filter(|name| !lineage::is_lineage(name) && !is_kept(name)).collect()
}

/// Gives the columns of a chunk the spelling that its table has for them.
pub(crate) fn spell(chunk: &mut Cow<'_, Chunk>, columns: &ColumnList) {
    let is_spelled = |name: &String| columns.spelling(name).is_none_or(|known| known == name);
    if !chunk.columns.iter().all(is_spelled) {
        let names = chunk.columns.iter().map(|name| columns.spelling(name).unwrap_or(name).to_owned()).collect();
        *chunk = Cow::Owned(chunk.renamed(names));
    }
}

/// A table to which no row has come yet has its declared columns, or those of its files' headers, so that models can be built on it. Without
/// any column there is no table before the first rows. `since`: the first load of it, if there was one.
pub(crate) async fn create(
    workspace: &Workspace,
    label: &str,
    name: &TableName,
    table: &FileTable,
    columns: &[String],
    since: Option<&str>,
) -> Result<(), LoadError> {
    let columns = declared_columns(columns, table);
    if columns.is_empty() || workspace.lake.exists(name).await? {
        return Ok(());
    }
    let columns = columns.names();
    let mut fields: Vec<Field> = columns.iter().map(|column| Field::new(column, DataType::Utf8, true)).collect();
    let mut arrays: Vec<ArrayRef> = columns.iter().map(|_| new_null_array(&DataType::Utf8, 0)).collect();
    let nothing = Lineage {
        source: label,
        file: "",
        batch_id: "",
        received: Vec::<i64>::new().into(),
        positions: Vec::<i64>::new().into(),
        hashes: StringArray::new_null(0),
        changes: StringArray::new_null(0),
        kept: table.keep_raw.then(|| no_records(0)),
    };
    nothing.push(&mut fields, &mut arrays);
    if table.pushes().next().is_some() {
        // What is delivered says by which way it came. Columns that come with the first delivery would have every query of it planned anew.
        fields.extend(lineage::OF_DELIVERIES.map(|name| Field::new(name, DataType::Utf8, true)));
        arrays.extend(lineage::OF_DELIVERIES.map(|_| new_null_array(&DataType::Utf8, 0)));
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
    let stream = MemoryStream::try_new(vec![batch], schema, None)?;
    let since = since.map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned);
    let commit = Commit { properties: reading::created(table, &since), ..Commit::default() };
    workspace.lake.append(name, vec![Box::pin(stream)], commit).await?;
    Ok(())
}

/// 32 hexadecimal digits per row, straight into one buffer.
pub(crate) fn hex_hashes(hashes: &[u128]) -> Result<StringArray, ArrowError> {
    let mut text = String::with_capacity(hashes.len() * 32);
    hashes.iter().for_each(|hash| push_hex(&mut text, &hash.to_be_bytes()));
    let offsets = arrow::buffer::OffsetBuffer::from_repeated_length(32, hashes.len());
    StringArray::try_new(offsets, text.into_bytes().into(), None)
}

/// The beginning of the batch id of a corrected row.
pub const FIX_BATCH: &str = "fix:";

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn described_columns_are_columns_once() {
        let described = texts(&["id", "_file", "ID", "Ward", "_Row_Hash", "_raw"]);
        let table = |keep_raw: bool| {
            let block = serde_json::json!({"path": "x.csv", "keep_raw": keep_raw});
            FileTable::from_json(&serde_json::Value::Null, &block).unwrap()
        };
        assert_eq!(declared_columns(&described, &table(false)).names(), ["id", "Ward", "_raw"]);
        assert_eq!(declared_columns(&described, &table(true)).names(), ["id", "Ward"]);
    }

    #[test]
    fn a_chunk_gets_the_spelling_and_the_hashes_of_its_table() {
        let chunk = Chunk {
            columns: texts(&["ID", "new"]),
            arrays: vec![Arc::new(StringArray::from(vec!["1"])), Arc::new(StringArray::from(vec!["x"]))],
            positions: vec![1].into(),
            row_hashes: vec![0],
            rows: 1,
            kept: None,
        };
        let known: ColumnList = ["ward", "id"].into_iter().collect();
        let mut spelled = Cow::Borrowed(&chunk);
        spell(&mut spelled, &known);
        assert_eq!(spelled.columns, ["id", "new"]);
        assert_eq!(spelled.row_hashes, chunk.renamed(texts(&["id", "new"])).row_hashes);
        // What is spelled already keeps the hashes it was read with.
        let mut as_it_is = Cow::Borrowed(&chunk);
        spell(&mut as_it_is, &["ID"].into_iter().collect());
        assert_eq!(as_it_is.row_hashes, [0]);
    }

    #[test]
    fn hashes_are_written_as_core_writes_them() {
        let hashes = [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef];
        let text = hex_hashes(&hashes).unwrap();
        for (row, hash) in hashes.iter().enumerate() {
            assert_eq!(text.value(row), wardlake_core::RowHash(*hash).to_string());
        }
    }
}
