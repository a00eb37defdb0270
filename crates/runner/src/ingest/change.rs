//! Which rows of an extract are news: each is compared, by hash, with the last state of its key.

use std::collections::{HashMap, HashSet};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, StringArray},
    compute::filter_record_batch,
    datatypes::{Int64Type, TimestampMicrosecondType},
    record_batch::RecordBatch,
};
use wardlake_core::{RowHasher, TableName, lineage};
use wardlake_engine::Session;

use crate::{RunnerError, quarantine::FIX_BATCH};

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

/// One row of bronze as far as change detection needs it.
#[derive(Clone, Debug)]
pub(crate) struct StoredRow {
    pub(crate) key: u128,
    pub(crate) file: String,
    /// Rows of one file are ordered by when they were received, then by their line.
    pub(crate) order: (i64, i64),
    pub(crate) hash: u128,
    pub(crate) is_delete: bool,
}

/// The last state of every key.
#[derive(Default)]
pub(crate) struct KeyStates {
    states: HashMap<u128, u128>,
    /// Key values, kept only where deletions are detected: a deletion names its key.
    names: Option<HashMap<u128, Vec<Option<Box<str>>>>>,
}

impl KeyStates {
    pub(crate) fn new(keeps_names: bool) -> Self {
        Self { states: HashMap::new(), names: keeps_names.then(HashMap::new) }
    }

    /// Takes a row in; `None` if it equals the last state of its key.
    pub(crate) fn offer(&mut self, key: u128, hash: u128) -> Option<RowChange> {
        match self.states.insert(key, hash) {
            None => Some(RowChange::Insert),
            Some(last) if last == hash => None,
            Some(_) => Some(RowChange::Update),
        }
    }

    pub(crate) fn note_name(&mut self, key: u128, values: impl FnOnce() -> Vec<Option<Box<str>>>) {
        if let Some(names) = &mut self.names {
            names.entry(key).or_insert_with(values);
        }
    }

    pub(crate) fn set(&mut self, key: u128, hash: u128) {
        self.states.insert(key, hash);
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

/// The key columns of a batch, by name.
pub(crate) fn key_columns<'a>(
    keys: &[String],
    columns: &[String],
    arrays: &'a [ArrayRef],
) -> Vec<Option<&'a StringArray>> {
    keys.iter()
        .map(|key| columns.iter().position(|column| column == key).and_then(|at| arrays[at].as_string_opt::<i32>()))
        .collect()
}

/// Keeps the rows `news` has a change for.
pub(crate) fn filter_news(batch: &RecordBatch, news: &[Option<RowChange>]) -> Result<RecordBatch, RunnerError> {
    let mask: BooleanArray = news.iter().map(|change| Some(change.is_some())).collect();
    Ok(filter_record_batch(batch, &mask)?)
}

/// Reads key, hash and order of every bronze row, and hands each to `take`.
pub(crate) async fn stored_rows(
    session: &Session,
    table: &TableName,
    keys: &[String],
    known: &[String],
    mut take: impl FnMut(StoredRow, &dyn Fn() -> Vec<Option<Box<str>>>),
) -> Result<(), RunnerError> {
    use futures::TryStreamExt;
    let mut selected: Vec<String> = keys
        .iter()
        .map(|key| match known.contains(key) {
            true => format!("arrow_cast(\"{0}\", 'Utf8') as \"{0}\"", key.replace('"', "\"\"")),
            false => format!("arrow_cast(null, 'Utf8') as \"{}\"", key.replace('"', "\"\"")),
        })
        .collect();
    for column in [lineage::FILE, lineage::ROW_HASH, lineage::CHANGE] {
        selected.push(format!("arrow_cast({column}, 'Utf8') as {column}"));
    }
    selected.push(format!("arrow_cast({0}, 'Timestamp(Microsecond, Some(\"UTC\"))') as {0}", lineage::RECEIVED_AT));
    selected.push(lineage::POSITION.to_owned());
    // A corrected row is not what the source sent: compared with it, the same wrong value would be news again.
    let sql = format!(
        "select {} from {} where {} not like '{FIX_BATCH}%'",
        selected.join(", "),
        table.quoted(),
        lineage::BATCH_ID
    );
    let mut stream = session.query(&sql).await?.stream().await?;
    while let Some(batch) = stream.try_next().await? {
        let key_arrays: Vec<Option<&StringArray>> =
            (0..keys.len()).map(|at| batch.column(at).as_string_opt::<i32>()).collect();
        let hashes = key_hashes(&key_arrays, batch.num_rows());
        let text = |at: usize| batch.column(keys.len() + at).as_string::<i32>();
        let received = batch.column(keys.len() + 3).as_primitive::<TimestampMicrosecondType>();
        let position = batch.column(keys.len() + 4).as_primitive::<Int64Type>();
        for (row, key) in hashes.into_iter().enumerate() {
            let stored = StoredRow {
                key,
                file: text(0).value(row).to_owned(),
                order: (received.value(row), position.value(row)),
                hash: u128::from_str_radix(text(1).value(row), 16).unwrap_or_default(),
                is_delete: text(2).value(row) == RowChange::Delete.as_str(),
            };
            take(stored, &|| key_values(&key_arrays, row));
        }
    }
    Ok(())
}

pub(crate) fn key_values(keys: &[Option<&StringArray>], row: usize) -> Vec<Option<Box<str>>> {
    keys.iter().map(|key| key.filter(|key| key.is_valid(row)).map(|key| key.value(row).into())).collect()
}
