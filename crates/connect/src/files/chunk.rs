//! Rows on their way into Arrow: one text column per field, filled row by row from borrowed bytes.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, StringArray, builder::NullBufferBuilder},
    buffer::{Buffer, OffsetBuffer, ScalarBuffer},
};
use wardlake_core::RowHasher;

use crate::ConnectError;

/// Some rows of a file, in file order. Two chunks of one file may differ in their columns when the format names them
/// anew in each record (JSON): a column that a chunk lacks is NULL in all its rows.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// One array of text per column.
    pub arrays: Vec<ArrayRef>,
    /// The 1-based line on which each record starts; its number in formats without lines (JSON documents, Parquet).
    pub positions: Int64Array,
    /// The hash of each row: [`RowHasher`] over name and value of every field that is not NULL, in the byte order of the
    /// names. So neither another order of the columns nor a new column without values changes it.
    pub row_hashes: Vec<u128>,
    /// How many rows.
    pub rows: usize,
    /// The records behind the rows, where the table keeps them. They are no part of the rows' hashes.
    pub kept: Option<KeptRecords>,
}

/// The records that rows were read from.
#[derive(Clone, Debug)]
pub struct KeptRecords {
    /// The text of each, without its line end.
    pub texts: StringArray,
    /// The number of each within its file or delivery, from 1; rejected records are counted.
    pub records: Int64Array,
}

impl Chunk {
    /// The same rows under other names, one for each column in order. Their hashes are those of rows that had these names from the start.
    pub fn renamed(&self, names: Vec<String>) -> Self {
        let texts: Vec<&StringArray> = self.arrays.iter().map(|array| array.as_string::<i32>()).collect();
        let row_hashes = row_hashes(&names, &texts, self.rows);
        let (arrays, positions) = (self.arrays.clone(), self.positions.clone());
        Self { columns: names, arrays, positions, row_hashes, rows: self.rows, kept: self.kept.clone() }
    }
}

/// The hash of each row, see [`Chunk::row_hashes`].
pub(crate) fn row_hashes(names: &[String], arrays: &[&StringArray], rows: usize) -> Vec<u128> {
    let order = sorted_by_name(names);
    let mut hasher = RowHasher::default();
    let hash = |row| {
        for i in order.iter().copied().filter(|i| arrays[*i].is_valid(row)) {
            hasher.field(Some(names[i].as_bytes()));
            hasher.field(Some(arrays[i].value(row).as_bytes()));
        }
        hasher.finish().0
    };
    (0..rows).map(hash).collect()
}

/// Where the text of a field lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Null,
    /// In the bytes of the file.
    Base,
    /// In the buffer for text that had to be unescaped or decoded.
    Scratch,
}

impl Slot {
    pub(crate) const NULL: Self = Self { start: 0, end: 0, at: At::Null };

    pub(crate) fn base(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32, at: At::Base }
    }

    pub(crate) fn scratch(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32, at: At::Scratch }
    }

    pub(crate) fn is_null(self) -> bool {
        self.at == At::Null
    }

    #[inline]
    fn text<'a>(self, base: &'a [u8], scratch: &'a [u8]) -> Option<Text<'a>> {
        let within = match self.at {
            At::Null => return None,
            At::Base => base,
            At::Scratch => scratch,
        };
        Some(Text { within, start: self.start as usize, end: self.end as usize })
    }
}

/// Part of a longer text.
#[derive(Clone, Copy)]
struct Text<'a> {
    within: &'a [u8],
    start: usize,
    end: usize,
}

/// Most fields are shorter: copying so many bytes and taking back the surplus costs less than a copy of the right length.
const WIDE: usize = 32;

impl Text<'_> {
    fn len(self) -> usize {
        self.end - self.start
    }

    #[inline(always)]
    fn append_to(self, out: &mut Vec<u8>) {
        let from = &self.within[self.start..];
        match from.first_chunk::<WIDE>() {
            Some(wide) if self.len() <= WIDE => {
                let length = out.len() + self.len();
                out.extend_from_slice(wide);
                out.truncate(length);
            }
            _ => out.extend_from_slice(&from[..self.len()]),
        }
    }
}

struct TextColumn {
    values: Vec<u8>,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl TextColumn {
    fn new(rows_before: usize, rows: usize, bytes: usize) -> Self {
        let mut nulls = NullBufferBuilder::new(1024);
        nulls.append_n_nulls(rows_before);
        let mut offsets = Vec::with_capacity(rows.max(rows_before) + 1);
        offsets.resize(rows_before + 1, 0);
        Self { values: Vec::with_capacity(bytes), offsets, nulls }
    }

    #[inline]
    fn push(&mut self, value: Option<Text<'_>>) {
        match value {
            Some(text) => {
                text.append_to(&mut self.values);
                self.nulls.append_non_null();
            }
            None => self.nulls.append_null(),
        }
        self.offsets.push(self.values.len() as i32);
    }

    fn finish(mut self) -> Result<ArrayRef, ConnectError> {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        StringArray::try_new(offsets, Buffer::from_vec(self.values), self.nulls.finish())
            .map(|array| Arc::new(array) as ArrayRef)
            .map_err(|error| ConnectError::Internal { message: error.to_string() })
    }
}

/// The name of a column as the hash of a row takes it in.
struct HashedName {
    column: usize,
    length: usize,
    /// The name, and room behind it for wide copies.
    padded: Vec<u8>,
}

impl HashedName {
    /// In the order in which fields are hashed.
    fn all(names: &[String]) -> Vec<Self> {
        let padded = |name: &String| [name.as_bytes(), &[0; WIDE]].concat();
        let name = |column: usize| Self { column, length: names[column].len(), padded: padded(&names[column]) };
        sorted_by_name(names).into_iter().map(name).collect()
    }

    fn text(&self) -> Text<'_> {
        Text { within: &self.padded, start: 0, end: self.length }
    }
}

/// How large the last chunk of a file became, so that the next one need not grow step by step.
#[derive(Clone, Debug, Default)]
pub(crate) struct SizeHint {
    rows: usize,
    column_bytes: Vec<usize>,
}

impl SizeHint {
    fn bytes_of(&self, column: usize) -> usize {
        self.column_bytes.get(column).copied().unwrap_or_default()
    }
}

/// Fills one [`Chunk`]. The text of one chunk stays below 2 GiB, since blocks do.
#[derive(Default)]
pub(crate) struct ChunkBuilder {
    names: Vec<String>,
    columns: Vec<TextColumn>,
    /// Empty where columns came or went since the last row: a record may bring many.
    by_name: Vec<HashedName>,
    hasher: RowHasher,
    positions: Vec<i64>,
    row_hashes: Vec<u128>,
    hint: SizeHint,
    /// The texts of records and their numbers; without a row, none was to be kept.
    texts: Option<TextColumn>,
    records: Vec<i64>,
}

impl ChunkBuilder {
    pub(crate) fn new(names: &[String], hint: &SizeHint) -> Self {
        Self {
            names: names.to_vec(),
            columns: (0..names.len()).map(|i| TextColumn::new(0, hint.rows, hint.bytes_of(i))).collect(),
            by_name: HashedName::all(names),
            positions: Vec::with_capacity(hint.rows),
            row_hashes: Vec::with_capacity(hint.rows),
            hint: hint.clone(),
            ..Self::default()
        }
    }

    /// A little more than what this chunk holds.
    pub(crate) fn hint(&self) -> SizeHint {
        let more = |size: usize| size + size / 16 + 16;
        let column_bytes = self.columns.iter().map(|column| more(column.values.len())).collect();
        SizeHint { rows: more(self.positions.len()), column_bytes }
    }

    /// Adds a column that is NULL in the rows so far, and returns its index.
    pub(crate) fn add_column(&mut self, name: String) -> usize {
        self.names.push(name);
        let bytes = self.hint.bytes_of(self.columns.len());
        self.columns.push(TextColumn::new(self.positions.len(), self.hint.rows, bytes));
        self.by_name.clear();
        self.names.len() - 1
    }

    /// Takes back columns that no row has.
    pub(crate) fn truncate_columns(&mut self, columns: usize) {
        self.names.truncate(columns);
        self.columns.truncate(columns);
        self.by_name.clear();
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Adds a row. `slots` holds one slot per column; columns behind its end are NULL.
    pub(crate) fn push_row(&mut self, position: i64, base: &[u8], scratch: &[u8], slots: &[Slot]) {
        if self.by_name.len() != self.names.len() {
            self.by_name = HashedName::all(&self.names);
        }
        for (i, column) in self.columns.iter_mut().enumerate() {
            column.push(slots.get(i).and_then(|slot| slot.text(base, scratch)));
        }
        for name in &self.by_name {
            if let Some(value) = slots.get(name.column).and_then(|slot| slot.text(base, scratch)) {
                let name = name.text();
                self.hasher.field_with(name.len(), |buffer| name.append_to(buffer));
                self.hasher.field_with(value.len(), |buffer| value.append_to(buffer));
            }
        }
        self.row_hashes.push(self.hasher.finish().0);
        self.positions.push(position);
    }

    /// Keeps the record behind the row that was added last.
    pub(crate) fn keep(&mut self, number: i64, text: &[u8]) {
        let texts = self.texts.get_or_insert_with(|| TextColumn::new(0, self.hint.rows, 0));
        texts.push(Some(Text { within: text, start: 0, end: text.len() }));
        self.records.push(number);
    }

    /// The chunk, if it has rows.
    pub(crate) fn finish(self) -> Result<Option<Chunk>, ConnectError> {
        let rows = self.positions.len();
        if rows == 0 {
            return Ok(None);
        }
        let arrays = self.columns.into_iter().map(TextColumn::finish).collect::<Result<_, _>>()?;
        let positions = Int64Array::from(self.positions);
        let kept = match self.texts {
            Some(texts) => {
                let texts = texts.finish()?.as_string::<i32>().clone();
                Some(KeptRecords { texts, records: self.records.into() })
            }
            None => None,
        };
        Ok(Some(Chunk { columns: self.names, arrays, positions, row_hashes: self.row_hashes, rows, kept }))
    }
}

/// The order in which the fields of a row are hashed.
fn sorted_by_name(names: &[String]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|a, b| names[*a].cmp(&names[*b]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renamed_rows_hash_as_rows_that_were_read_under_those_names() {
        let names = |names: [&str; 2]| names.map(str::to_owned).to_vec();
        let read = |names: &[String]| {
            let mut builder = ChunkBuilder::new(names, &SizeHint::default());
            builder.push_row(1, b"ab", &[], &[Slot::base(0, 1), Slot::base(1, 2)]);
            builder.push_row(2, b"ab", &[], &[Slot::NULL, Slot::base(0, 0)]);
            builder.finish().unwrap().unwrap()
        };
        let (before, after) = (names(["ID", "ward"]), names(["z", "Ward"]));
        assert_eq!(read(&before).renamed(after.clone()).row_hashes, read(&after).row_hashes);
        assert_eq!(read(&before).renamed(before.clone()).row_hashes, read(&before).row_hashes);
    }

    #[test]
    fn text_of_any_length_is_copied_whole() {
        let within: Vec<u8> = (0..100).collect();
        for start in 0..=within.len() {
            for end in start..=within.len() {
                let mut out = b"before".to_vec();
                Text { within: &within, start, end }.append_to(&mut out);
                assert_eq!(out, [b"before", &within[start..end]].concat(), "{start}..{end}");
            }
        }
    }
}
