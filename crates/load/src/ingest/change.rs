//! Which rows of an extract are news: each is compared, by hash, with the last state of its key.

use std::collections::{HashMap, HashSet};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, StringArray},
    compute::filter_record_batch,
    datatypes::{Int64Type, TimestampMicrosecondType},
    record_batch::RecordBatch,
};
use futures::TryStreamExt;
use wardlake_core::{
    RowHasher, TableName,
    columns::{ColumnList, is_same_column},
    lineage,
};
use wardlake_engine::{Session, sql::identifier};

use super::places::Places;
use crate::{bronze::FIX_BATCH, error::LoadError};

/// What a row is to its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowChange {
    Insert,
    Update,
    Delete,
}

impl RowChange {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// What became of a row when its key's last state was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It goes into the table.
    News(RowChange),
    /// The file brings what was known before it.
    Unchanged,
    /// The same row stands earlier in the same file.
    Repeated,
}

/// One row of bronze as far as change detection needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredRow<'a> {
    pub(crate) key: u128,
    pub(crate) file: &'a str,
    pub(crate) batch_id: &'a str,
    /// Rows of one file are ordered by when they were received, then by their line.
    pub(crate) order: (i64, i64),
    pub(crate) hash: u128,
    pub(crate) is_delete: bool,
}

/// The hash of a key's last state, and in its lowest bits the number of the file that brought it up last: there is one for
/// every key of a table, and 104 bits tell two states apart as well as 128 do.
#[derive(Clone, Copy)]
struct KeyState(u128);

impl KeyState {
    const FILE: u128 = (1 << 24) - 1;

    fn new(hash: u128, file: u32) -> Self {
        Self(hash & !Self::FILE | u128::from(file) & Self::FILE)
    }

    fn has_hash(self, hash: u128) -> bool {
        (self.0 ^ hash) & !Self::FILE == 0
    }

    fn is_of_file(self, file: u32) -> bool {
        (self.0 ^ u128::from(file)) & Self::FILE == 0
    }
}

/// The last state of every key.
#[derive(Default)]
pub(crate) struct KeyStates {
    states: HashMap<u128, KeyState>,
    /// Number of the file being read, from 1; 0 is what bronze held before.
    file: u32,
    /// Key values, kept only where deletions are detected: a deletion names its key.
    names: Option<HashMap<u128, Vec<Option<Box<str>>>>>,
}

impl KeyStates {
    pub(crate) fn new(keeps_names: bool) -> Self {
        Self { states: HashMap::new(), file: 0, names: keeps_names.then(HashMap::new) }
    }

    /// What is offered from now on stands in another file.
    pub(crate) fn begin_file(&mut self) {
        self.file += 1;
    }

    /// Takes a row in.
    pub(crate) fn offer(&mut self, key: u128, hash: u128) -> Offered {
        match self.states.insert(key, KeyState::new(hash, self.file)) {
            None => Offered::News(RowChange::Insert),
            Some(last) if !last.has_hash(hash) => Offered::News(RowChange::Update),
            Some(last) if last.is_of_file(self.file) => Offered::Repeated,
            Some(_) => Offered::Unchanged,
        }
    }

    pub(crate) fn note_name(&mut self, key: u128, values: impl FnOnce() -> Vec<Option<Box<str>>>) {
        if let Some(names) = &mut self.names {
            names.entry(key).or_insert_with(values);
        }
    }

    pub(crate) fn set(&mut self, key: u128, hash: u128) {
        self.states.insert(key, KeyState::new(hash, self.file));
    }

    /// Forgets every key that is not in `present`, and names them.
    pub(crate) fn retain(&mut self, present: &HashSet<u128>) -> Vec<(u128, Vec<Option<Box<str>>>)> {
        let gone: Vec<u128> = self.states.keys().filter(|key| !present.contains(key)).copied().collect();
        gone.into_iter()
            .map(|key| {
                self.states.remove(&key);
                (key, self.name(key))
            })
            .collect()
    }

    pub(crate) fn name(&self, key: u128) -> Vec<Option<Box<str>>> {
        self.names.as_ref().and_then(|names| names.get(&key)).cloned().unwrap_or_default()
    }
}

/// Hashes of the key columns, row by row. A column the file does not have counts as NULL.
pub(crate) fn key_hashes(keys: &[Option<&StringArray>], rows: usize) -> Vec<u128> {
    let mut hasher = RowHasher::default();
    (0..rows)
        .map(|row| {
            for key in keys {
                let value = key.filter(|key| key.is_valid(row)).map(|key| key.value(row).as_bytes());
                hasher.field(value);
            }
            hasher.finish().0
        })
        .collect()
}

/// The key columns of a batch, by name in any spelling.
pub(crate) fn key_columns<'a>(
    keys: &[String],
    columns: &[String],
    arrays: &'a [ArrayRef],
) -> Vec<Option<&'a StringArray>> {
    keys.iter()
        .map(|key| {
            let at = columns.iter().position(|column| is_same_column(column, key));
            at.and_then(|at| arrays[at].as_string_opt::<i32>())
        })
        .collect()
}

/// Keeps the rows `news` has a change for.
pub(crate) fn filter_news(batch: &RecordBatch, news: &[Option<RowChange>]) -> Result<RecordBatch, LoadError> {
    let mask: BooleanArray = news.iter().map(|change| Some(change.is_some())).collect();
    Ok(filter_record_batch(batch, &mask)?)
}

/// In what order [`stored_rows`] come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowOrder {
    /// As they lie in the table.
    Any,
    /// As they were received.
    Arrival,
}

/// Reads key, hash and order of every bronze row, and hands each to `take`.
pub(crate) async fn stored_rows(
    session: &Session,
    table: &TableName,
    keys: &[String],
    known: &ColumnList,
    order: RowOrder,
    mut take: impl FnMut(StoredRow<'_>, &dyn Fn() -> Vec<Option<Box<str>>>),
) -> Result<(), LoadError> {
    let mut selected: Vec<String> = keys
        .iter()
        .map(|key| match known.spelling(key) {
            Some(column) => format!("arrow_cast({}, 'Utf8') as {}", identifier(column), identifier(key)),
            None => format!("arrow_cast(null, 'Utf8') as {}", identifier(key)),
        })
        .collect();
    for column in [lineage::FILE, lineage::ROW_HASH, lineage::CHANGE, lineage::BATCH_ID] {
        selected.push(format!("arrow_cast({column}, 'Utf8') as {column}"));
    }
    selected.push(format!("arrow_cast({0}, 'Timestamp(Microsecond, Some(\"UTC\"))') as {0}", lineage::RECEIVED_AT));
    selected.push(lineage::POSITION.to_owned());
    // A corrected row is not what the source sent: compared with it, the same wrong value would be news again.
    let sql = format!(
        "select {} from {} where {} not like '{FIX_BATCH}%'{}",
        selected.join(", "),
        table.quoted(),
        lineage::BATCH_ID,
        match order {
            RowOrder::Any => String::new(),
            RowOrder::Arrival => format!(" order by {}, {}", lineage::RECEIVED_AT, lineage::POSITION),
        }
    );
    let mut stream = session.query(&sql).await?.stream().await?;
    while let Some(batch) = stream.try_next().await? {
        let key_arrays: Vec<Option<&StringArray>> =
            (0..keys.len()).map(|at| batch.column(at).as_string_opt::<i32>()).collect();
        let hashes = key_hashes(&key_arrays, batch.num_rows());
        let text = |at: usize| batch.column(keys.len() + at).as_string::<i32>();
        let received = batch.column(keys.len() + 4).as_primitive::<TimestampMicrosecondType>();
        let position = batch.column(keys.len() + 5).as_primitive::<Int64Type>();
        for (row, key) in hashes.into_iter().enumerate() {
            let stored = StoredRow {
                key,
                file: text(0).value(row),
                batch_id: text(3).value(row),
                order: (received.value(row), position.value(row)),
                hash: hash_of(text(1).value(row), table)?,
                is_delete: text(2).value(row) == RowChange::Delete.as_str(),
            };
            take(stored, &|| key_values(&key_arrays, row));
        }
    }
    Ok(())
}

/// A hash that was taken for another one would make a new row of what is there, or hide what is new.
fn hash_of(text: &str, table: &TableName) -> Result<u128, LoadError> {
    u128::from_str_radix(text, 16).map_err(|error| LoadError::Unreadable {
        table: table.clone(),
        what: format!("the {} of a row", lineage::ROW_HASH),
        reason: error.to_string(),
    })
}

/// When the last row was received that came from no file, in microseconds since 1970.
pub(crate) async fn fed_until_us(
    session: &Session,
    table: &TableName,
    places: &Places,
) -> Result<Option<i64>, LoadError> {
    let sql = format!(
        "select arrow_cast({0}, 'Utf8') as feed, \
         arrow_cast(max({1}), 'Timestamp(Microsecond, Some(\"UTC\"))') as received from {2} \
         where {3} not like '{FIX_BATCH}%' group by {0}",
        lineage::FILE,
        lineage::RECEIVED_AT,
        table.quoted(),
        lineage::BATCH_ID
    );
    let mut newest = None;
    let mut stream = session.query(&sql).await?.stream().await?;
    while let Some(batch) = stream.try_next().await? {
        let feeds = batch.column(0).as_string::<i32>();
        let received = batch.column(1).as_primitive::<TimestampMicrosecondType>();
        let fed = (0..batch.num_rows()).filter(|row| received.is_valid(*row) && !places.is_file(feeds.value(*row)));
        newest = newest.max(fed.map(|row| received.value(row)).max());
    }
    Ok(newest)
}

pub(crate) fn key_values(keys: &[Option<&StringArray>], row: usize) -> Vec<Option<Box<str>>> {
    keys.iter().map(|key| key.filter(|key| key.is_valid(row)).map(|key| key.value(row).into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_that_cannot_be_read_is_no_hash() {
        let table: TableName = "bronze.beds".parse().unwrap();
        assert_eq!(hash_of("000000000000000000000000000000ff", &table).unwrap(), 255);
        for text in ["", "beds", "100000000000000000000000000000000"] {
            let error = hash_of(text, &table).unwrap_err().to_string();
            assert!(error.starts_with("bronze.beds: the _row_hash of a row cannot be read"), "{error}");
        }
    }

    #[test]
    fn keys_are_found_in_any_spelling() {
        use std::sync::Arc;
        let columns = ["ward", "Patient_ID"].map(str::to_owned);
        let arrays: [ArrayRef; 2] = [Arc::new(StringArray::from(vec!["A"])), Arc::new(StringArray::from(vec!["7"]))];
        let keys = ["patient_id", "site"].map(str::to_owned);
        let found = key_columns(&keys, &columns, &arrays);
        assert_eq!((found[0].map(|key| key.value(0)), found[1].is_none()), (Some("7"), true));
    }

    #[test]
    fn a_row_is_repeated_only_within_its_file() {
        let [ten, twenty, other] = [10, 20, 21].map(|hash: u128| hash << 100);
        let mut states = KeyStates::new(false);
        states.set(1, ten);
        let mut file = |rows: &[(u128, u128)]| -> Vec<Offered> {
            states.begin_file();
            rows.iter().map(|(key, hash)| states.offer(*key, *hash)).collect()
        };
        let (insert, update) = (Offered::News(RowChange::Insert), Offered::News(RowChange::Update));
        assert_eq!(
            file(&[(1, ten), (1, ten), (2, twenty), (2, twenty)]),
            [Offered::Unchanged, Offered::Repeated, insert, Offered::Repeated]
        );
        // Back to what it was, with another state in between, is no repetition.
        assert_eq!(file(&[(2, twenty), (2, other), (2, twenty)]), [Offered::Unchanged, update, update]);
    }
}
