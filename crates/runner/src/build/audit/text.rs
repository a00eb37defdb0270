//! Columns of any type as text.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray},
    compute::cast,
    datatypes::DataType,
};

use crate::RunnerError;

/// A column's values as text; none for a column that is not there.
pub(super) struct Texts(Option<StringArray>);

impl Texts {
    pub(super) fn of(column: Option<&ArrayRef>) -> Result<Self, RunnerError> {
        Ok(Self(match column {
            Some(column) => Some(cast(column, &DataType::Utf8)?.as_string::<i32>().clone()),
            None => None,
        }))
    }

    pub(super) fn get(&self, row: usize) -> Option<&str> {
        self.0.as_ref().filter(|texts| texts.is_valid(row)).map(|texts| texts.value(row))
    }
}

/// The key of each row as people write it, its parts joined by `|`.
pub(super) fn key_texts(batch: &RecordBatch, key: &[usize]) -> Result<Vec<Option<String>>, RunnerError> {
    if key.is_empty() {
        return Ok(vec![None; batch.num_rows()]);
    }
    let parts: Vec<Texts> =
        key.iter().map(|index| Texts::of(Some(batch.column(*index)))).collect::<Result<_, RunnerError>>()?;
    let of_row = |row: usize| {
        let parts: Vec<&str> = parts.iter().map(|part| part.get(row).unwrap_or_default()).collect();
        Some(parts.join("|"))
    };
    Ok((0..batch.num_rows()).map(of_row).collect())
}
