//! How an epoch lies on disk: small enough to be written with every wave.
//!
//! A record is *whole*, or says what differs from a whole one before it (`since`), never from another difference: two files are read for any
//! epoch, and what lies between them can be forgotten. A difference that outlives the whole one is *retold*: its record becomes whole, and the
//! epoch shows what it showed. The SQL of a view stands once in `_epochs/sql/<hash>.sql`. A record ends with its checksum: a digit that a disk
//! changed would be another version of a table, and readers would be shown that.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use chrono::{DateTime, Utc};
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wardlake_core::TableName;

use super::{Epoch, FOLDER, FRESH, Withdrawn, cost::Costs, path};
use crate::{Lake, StorageError, checksum::checksum};

/// What stands before the checksum at the end of a record, and what behind it.
const SEAL: (&str, &str) = (",\"checksum\":\"", "\"}");
/// After so many epochs one is whole again, and when more than half of the map differs.
const WHOLE_EVERY: u64 = 512;
/// And after so long: an epoch that others are told from stays, with every version that it names.
const WHOLE_WITHIN: chrono::Duration = chrono::Duration::hours(20);
/// Texts of views that are kept in memory; more means that they change all the time.
const MOST_TEXTS: usize = 4096;

/// An epoch on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) number: u64,
    pub(super) published_at: DateTime<Utc>,
    run_id: String,
    parent: Option<u64>,
    /// The whole epoch that the maps are the difference from; none if they are whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<u64>,
    /// It was the difference from one that is gone. No other is told from it: who publishes need not know of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_retold: bool,
    pub(super) tables: BTreeMap<TableName, u64>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    tables_gone: BTreeSet<TableName>,
    /// The SQL itself, as epochs were written before it had files of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    views: BTreeMap<TableName, String>,
    /// The hash of the SQL.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    view_hashes: BTreeMap<TableName, String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    views_gone: BTreeSet<TableName>,
    #[serde(default)]
    gates: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rollback_of: Option<u64>,
    #[serde(default, skip_serializing_if = "Withdrawn::is_empty")]
    withdrawn: Withdrawn,
    /// What it costs to keep it ([`super::cost`]); 0 where nobody worked it out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) cost: u64,
}

fn is_zero(cost: &u64) -> bool {
    *cost == 0
}

/// What this process knows of epochs: they never change.
#[derive(Debug, Default)]
pub(crate) struct EpochCache {
    known: Mutex<Known>,
    pub(super) costs: Costs,
}

#[derive(Debug, Default)]
struct Known {
    /// The newest, and when it was the newest: see [`FRESH`].
    newest: Option<(Arc<Epoch>, Instant)>,
    /// The whole epoch that records are told from now.
    whole: Option<Arc<Epoch>>,
    /// Epochs that were passed over, and why.
    unreadable: BTreeMap<u64, String>,
    texts: HashMap<String, Arc<str>>,
}

impl EpochCache {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest that was seen lately.
    pub(super) fn newest(&self) -> Option<Arc<Epoch>> {
        let known = self.lock();
        let (newest, seen_at) = known.newest.as_ref()?;
        let is_fresh = chrono::Duration::from_std(seen_at.elapsed()).is_ok_and(|age| age < FRESH);
        is_fresh.then(|| Arc::clone(newest))
    }

    pub(super) fn note_newest(&self, epoch: &Arc<Epoch>) {
        let mut known = self.lock();
        if known.newest.as_ref().is_none_or(|(newest, _)| newest.number <= epoch.number) {
            known.newest = Some((Arc::clone(epoch), Instant::now()));
        }
    }

    fn whole(&self) -> Option<Arc<Epoch>> {
        self.lock().whole.clone()
    }

    pub(super) fn note_whole(&self, epoch: &Epoch) {
        let mut known = self.lock();
        if known.whole.as_ref().is_none_or(|whole| whole.number < epoch.number) {
            known.whole = Some(Arc::new(epoch.clone()));
        }
    }

    pub(super) fn note_unreadable(&self, number: u64, reason: String) {
        self.lock().unreadable.insert(number, reason);
    }

    /// The newest of those that were passed over.
    pub(super) fn newest_unreadable(&self) -> Option<(u64, String)> {
        self.lock().unreadable.last_key_value().map(|(number, reason)| (*number, reason.clone()))
    }

    fn text(&self, hash: &str) -> Option<Arc<str>> {
        self.lock().texts.get(hash).cloned()
    }

    fn note_text(&self, hash: String, sql: &str) {
        let mut known = self.lock();
        if known.texts.len() >= MOST_TEXTS {
            known.texts.clear();
        }
        known.texts.insert(hash, sql.into());
    }
}

/// A JSON object with its own checksum as the last field.
fn sealed(mut object: Vec<u8>) -> Vec<u8> {
    let sum = checksum(&object);
    object.pop();
    object.extend_from_slice(format!("{}{sum}{}", SEAL.0, SEAL.1).as_bytes());
    object
}

/// Whether a record is as it was written, as far as it says: those of older programs have no checksum.
fn is_as_written(record: &[u8]) -> bool {
    let seal =
        record.strip_suffix(SEAL.1.as_bytes()).and_then(|rest| rest.split_at_checked(rest.len().checked_sub(32)?));
    let body = seal.and_then(|(rest, sum)| Some((rest.strip_suffix(SEAL.0.as_bytes())?, sum)));
    body.is_none_or(|(body, sum)| checksum([body, b"}"].concat()).as_bytes() == sum)
}

fn sql_path(hash: &str) -> Path {
    Path::from_iter([FOLDER, "sql", &format!("{hash}.sql")])
}

/// What is in `new` and not, or otherwise, in `old`; and what is in `old` alone.
fn difference<V: Clone + PartialEq>(
    old: &BTreeMap<TableName, V>,
    new: &BTreeMap<TableName, V>,
) -> (BTreeMap<TableName, V>, BTreeSet<TableName>) {
    let changed = new.iter().filter(|(name, value)| old.get(*name) != Some(value));
    let changed = changed.map(|(name, value)| (name.clone(), value.clone())).collect();
    (changed, old.keys().filter(|name| !new.contains_key(*name)).cloned().collect())
}

impl Record {
    /// The record of an epoch, told from `since` if that makes it small.
    fn of(epoch: &Epoch, since: Option<&Epoch>) -> Self {
        let whole = Self {
            number: epoch.number,
            published_at: epoch.published_at,
            run_id: epoch.run_id.clone(),
            parent: epoch.parent,
            since: None,
            is_retold: false,
            tables: epoch.tables.clone(),
            tables_gone: BTreeSet::new(),
            views: BTreeMap::new(),
            view_hashes: epoch.views.iter().map(|(name, sql)| (name.clone(), checksum(sql))).collect(),
            views_gone: BTreeSet::new(),
            gates: epoch.gates.clone(),
            rollback_of: epoch.rollback_of,
            withdrawn: epoch.withdrawn.clone(),
            cost: 0,
        };
        let is_near = |since: &&Epoch| {
            epoch.number.saturating_sub(since.number) < WHOLE_EVERY
                && epoch.published_at - since.published_at < WHOLE_WITHIN
        };
        let Some(since) = since.filter(is_near) else { return whole };
        let (tables, tables_gone) = difference(&since.tables, &epoch.tables);
        let (views, views_gone) = difference(&since.views, &epoch.views);
        let differences = tables.len() + tables_gone.len() + views.len() + views_gone.len();
        if 2 * differences > epoch.tables.len() + epoch.views.len() {
            return whole;
        }
        let view_hashes = views.iter().map(|(name, sql)| (name.clone(), checksum(sql))).collect();
        Self { since: Some(since.number), tables, tables_gone, view_hashes, views_gone, ..whole }
    }

    /// Whether others may be told from it.
    pub(super) fn is_base(&self) -> bool {
        self.since.is_none() && !self.is_retold
    }
}

impl Lake {
    pub(super) async fn record(&self, number: u64) -> Result<Option<Record>, StorageError> {
        let path = path(number);
        let Some(bytes) = self.get(&path).await? else { return Ok(None) };
        let damaged = |reason: String| StorageError::Damaged { path: path.to_string(), reason };
        if !is_as_written(&bytes) {
            return Err(damaged("it is not what it was when it was published".to_owned()));
        }
        let record: Record = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if record.number != number {
            return Err(damaged(format!("it says it is epoch {}", record.number)));
        }
        Ok(Some(record))
    }

    /// The epoch of a record: laid over the whole one that it is told from.
    pub(super) async fn resolve(&self, record: Record) -> Result<Epoch, StorageError> {
        let Record { number, published_at, run_id, parent, since, gates, rollback_of, withdrawn, .. } = record;
        let (mut tables, mut views) = match since {
            None => Default::default(),
            Some(since) => {
                let whole = self.whole(since, number).await?;
                (whole.tables.clone(), whole.views.clone())
            }
        };
        tables.extend(record.tables);
        tables.retain(|name, _| !record.tables_gone.contains(name));
        views.extend(record.views);
        for (name, hash) in record.view_hashes {
            views.insert(name, self.view_text(&hash).await?.to_string());
        }
        views.retain(|name, _| !record.views_gone.contains(name));
        Ok(Epoch { number, published_at, run_id, parent, tables, views, gates, rollback_of, withdrawn })
    }

    /// The whole epoch `number`, which `of` is told from.
    async fn whole(&self, number: u64, of: u64) -> Result<Arc<Epoch>, StorageError> {
        if let Some(whole) = self.epochs.whole().filter(|whole| whole.number == number) {
            return Ok(whole);
        }
        let record = self.record(number).await?.filter(|record| record.since.is_none());
        let Some(record) = record else {
            let reason = format!("it is told from epoch {number}, which is not there");
            return Err(StorageError::Damaged { path: path(of).to_string(), reason });
        };
        let whole = Arc::new(Box::pin(self.resolve(record)).await?);
        self.epochs.note_whole(&whole);
        Ok(whole)
    }

    async fn view_text(&self, hash: &str) -> Result<Arc<str>, StorageError> {
        if let Some(sql) = self.epochs.text(hash) {
            return Ok(sql);
        }
        let path = sql_path(hash);
        let damaged = |reason: &str| StorageError::Damaged { path: path.to_string(), reason: reason.to_owned() };
        let bytes = self.get(&path).await?.ok_or_else(|| damaged("it is not there"))?;
        let sql = std::str::from_utf8(&bytes).ok().filter(|sql| checksum(sql) == hash);
        let sql = sql.ok_or_else(|| damaged("it is not what it was when it was published"))?;
        self.epochs.note_text(hash.to_owned(), sql);
        Ok(sql.into())
    }

    /// Writes the SQL that a record names.
    async fn put_texts(&self, epoch: &Epoch, record: &Record) -> Result<(), StorageError> {
        for name in record.view_hashes.keys() {
            let Some(sql) = epoch.views.get(name) else { continue };
            let hash = checksum(sql);
            if self.epochs.text(&hash).is_none() {
                self.put_if_absent(&sql_path(&hash), sql.clone()).await?;
                self.epochs.note_text(hash, sql);
            }
        }
        Ok(())
    }

    /// Tells an epoch from itself alone. It shows what it showed.
    pub(super) async fn make_whole(&self, number: u64) -> Result<(), StorageError> {
        let Some(record) = self.record(number).await?.filter(|record| record.since.is_some()) else { return Ok(()) };
        let cost = record.cost;
        let epoch = self.resolve(record).await?;
        let whole = Record { is_retold: true, cost, ..Record::of(&epoch, None) };
        self.put_texts(&epoch, &whole).await?;
        let at = path(number);
        let bytes = serde_json::to_vec(&whole)
            .map_err(|error| StorageError::Damaged { path: at.to_string(), reason: error.to_string() })?;
        self.put(&at, sealed(bytes)).await
    }

    /// Writes the record of an epoch, unless its number is taken. The SQL that it names is on disk before it.
    pub(super) async fn put_record(&self, epoch: &Arc<Epoch>) -> Result<bool, StorageError> {
        let cost = self.cost_of(epoch);
        let record = Record { cost, ..Record::of(epoch, self.epochs.whole().as_deref()) };
        self.put_texts(epoch, &record).await?;
        let at = path(epoch.number);
        let damaged =
            |error: serde_json::Error| StorageError::Damaged { path: at.to_string(), reason: error.to_string() };
        let bytes = serde_json::to_vec(&record).map_err(damaged)?;
        if !self.put_if_absent(&at, sealed(bytes)).await? {
            return Ok(false);
        }
        if record.since.is_none() {
            self.epochs.note_whole(epoch);
        }
        self.epochs.note_newest(epoch);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(number: u64, tables: &[(&str, u64)]) -> Epoch {
        let tables = tables.iter().map(|(name, version)| (TableName::new("g", *name).unwrap(), *version)).collect();
        Epoch {
            number,
            published_at: DateTime::UNIX_EPOCH,
            run_id: String::new(),
            parent: None,
            tables,
            views: BTreeMap::new(),
            gates: Value::Null,
            rollback_of: None,
            withdrawn: Withdrawn::default(),
        }
    }

    #[test]
    fn a_record_that_was_changed_is_none() {
        let object = br#"{"number":12,"tables":{"main.stays":5}}"#.to_vec();
        assert!(is_as_written(&object), "as older programs wrote it");
        let record = sealed(object);
        assert!(is_as_written(&record) && serde_json::from_slice::<Value>(&record).is_ok());
        let name = record.len() - SEAL.1.len() - 32 - SEAL.0.len();
        for at in 0..record.len() {
            let mut changed = record.clone();
            changed[at] ^= 1;
            // Where the checksum's own name is another, there is none.
            let is_named = at < name || (name + SEAL.0.len()..record.len() - SEAL.1.len()).contains(&at);
            assert_eq!(is_as_written(&changed), !is_named, "byte {at}");
        }
    }

    #[test]
    fn a_record_is_told_from_a_whole_one_where_that_is_small() {
        let whole = epoch(1, &[("a", 1), ("b", 1), ("c", 1), ("d", 1)]);
        let next = Record::of(&epoch(2, &[("a", 2), ("b", 1), ("c", 1)]), Some(&whole));
        assert_eq!(next.since, None, "two of three entries differ");
        let next = Record::of(&epoch(2, &[("a", 2), ("b", 1), ("c", 1), ("d", 1)]), Some(&whole));
        assert_eq!((next.since, next.tables.len()), (Some(1), 1));
        let late = Record::of(&epoch(1 + WHOLE_EVERY, &[("a", 2), ("b", 1), ("c", 1), ("d", 1)]), Some(&whole));
        assert_eq!(late.since, None);
        let mut next_day = epoch(2, &[("a", 2), ("b", 1), ("c", 1), ("d", 1)]);
        next_day.published_at += chrono::Duration::days(1);
        assert_eq!(Record::of(&next_day, Some(&whole)).since, None);
    }
}
