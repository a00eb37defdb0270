//! Columns of any type as text.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder, new_null_array},
    compute::cast,
    datatypes::DataType,
    error::ArrowError,
};

/// A column's values as text; NULLs for a column that is not there.
pub(super) fn texts(batch: &RecordBatch, column: Option<usize>) -> Result<StringArray, ArrowError> {
    match column {
        Some(column) => text(batch.column(column)),
        None => Ok(new_null_array(&DataType::Utf8, batch.num_rows()).as_string::<i32>().clone()),
    }
}

/// An array's values as text.
pub(super) fn text(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
}

/// The key of each row as people write it, its parts joined by `|`; NULLs where people have none.
pub(super) fn key_texts(batch: &RecordBatch, key: &[usize]) -> Result<StringArray, ArrowError> {
    if key.is_empty() {
        return texts(batch, None);
    }
    let parts = key.iter().map(|index| texts(batch, Some(*index))).collect::<Result<Vec<_>, ArrowError>>()?;
    let mut keys = StringBuilder::with_capacity(batch.num_rows(), 16 * batch.num_rows());
    let mut joined = String::new();
    for row in 0..batch.num_rows() {
        joined.clear();
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                joined.push('|');
            }
            joined.push_str(value(part, row).unwrap_or_default());
        }
        keys.append_value(&joined);
    }
    Ok(keys.finish())
}

/// One value.
pub(super) fn value(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row))
}
