//! Parquet files: every column as text. Dates, times and timestamps are ISO 8601, nested values JSON, bytes that are no
//! text their hexadecimal digits.

use std::{fs::File, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array, RecordBatch, StringArray, StringBuilder},
    compute::cast,
    datatypes::{DataType, Field, Schema},
    error::ArrowError,
    json::{LineDelimitedWriter, WriterBuilder},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use wardlake_core::hex;

use super::{
    chunk::{Chunk, row_hashes},
    names::{ColumnNames, check_keys},
};
use crate::{ConnectError, files::FoundFile};

const BATCH_ROWS: usize = 16 * 1024;

/// Delivers the rows of `file` and returns the names of its columns. Positions are row numbers, from 1. `keys`: the columns that
/// identify a row.
pub(crate) fn read_rows(
    file: &FoundFile,
    names: &ColumnNames,
    keys: &[String],
    deliver: &mut dyn FnMut(Chunk) -> Result<(), ConnectError>,
) -> Result<Vec<String>, ConnectError> {
    let corrupt = |message: String| ConnectError::Corrupt { path: file.path.clone(), format: "parquet", message };
    let handle =
        File::open(&file.path).map_err(|source| ConnectError::Unreadable { path: file.path.clone(), source })?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(handle).map_err(|error| corrupt(error.to_string()))?;
    let found: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let columns = names.header(&found);
    names.check(&file.path, &columns)?;
    check_keys(&file.path, keys, &columns, true)?;
    let reader = builder.with_batch_size(BATCH_ROWS).build().map_err(|error| corrupt(error.to_string()))?;
    let mut rows_before = 0_i64;
    for batch in reader {
        let batch = batch.map_err(|error| corrupt(error.to_string()))?;
        if batch.num_rows() > 0 {
            let chunk = chunk_of(&batch, &columns, rows_before).map_err(|error| corrupt(error.to_string()))?;
            rows_before += batch.num_rows() as i64;
            deliver(chunk)?;
        }
    }
    Ok(columns)
}

fn chunk_of(batch: &RecordBatch, columns: &[String], rows_before: i64) -> Result<Chunk, ArrowError> {
    let arrays = batch.columns().iter().map(text_of).collect::<Result<Vec<StringArray>, _>>()?;
    let rows = batch.num_rows();
    let row_hashes = row_hashes(columns, &arrays.iter().collect::<Vec<_>>(), rows);
    Ok(Chunk {
        columns: columns.to_vec(),
        arrays: arrays.into_iter().map(|array| Arc::new(array) as ArrayRef).collect(),
        positions: Int64Array::from_iter_values(rows_before + 1..=rows_before + rows as i64),
        row_hashes,
        rows,
        kept: None,
    })
}

fn text_of(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    match array.data_type() {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            let bytes = cast(array, &DataType::Binary)?;
            Ok(bytes_as_text(bytes.as_binary()))
        }
        data_type if data_type.is_nested() => nested_as_json(array),
        _ => Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone()),
    }
}

fn bytes_as_text(bytes: &BinaryArray) -> StringArray {
    let mut text = StringBuilder::new();
    for value in bytes {
        match value.map(|value| std::str::from_utf8(value).map_err(|_| hex(value))) {
            None => text.append_null(),
            Some(Ok(value)) => text.append_value(value),
            Some(Err(digits)) => text.append_value(digits),
        }
    }
    text.finish()
}

/// Writes the array as lines of `{"v":…}` and takes the values out of them.
fn nested_as_json(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    let schema = Arc::new(Schema::new(vec![Field::new("v", array.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(schema, vec![Arc::clone(array)])?;
    let mut writer: LineDelimitedWriter<Vec<u8>> = WriterBuilder::new().with_explicit_nulls(true).build(Vec::new());
    writer.write(&batch)?;
    writer.finish()?;
    let lines = writer.into_inner();
    let mut text = StringBuilder::new();
    for (row, line) in lines.split(|byte| *byte == b'\n').take(array.len()).enumerate() {
        let value = line.strip_prefix(br#"{"v":"#).and_then(|rest| rest.strip_suffix(b"}")).unwrap_or(line);
        if array.is_null(row) {
            text.append_null();
        } else {
            text.append_value(String::from_utf8_lossy(value));
        }
    }
    Ok(text.finish())
}
