//! Epochs: what readers see. One small immutable record per publication, `_epochs/<N>.json`, put if absent.

mod cost;
mod pins;
mod record;
mod thin;

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use futures::StreamExt;
use object_store::path::Path;
use serde_json::Value;
use wardlake_core::TableName;

pub(crate) use self::record::EpochCache;
pub use self::{
    pins::Pin,
    thin::{COUNTED_ON, EpochRetention, PublishedVersions},
};
use crate::{Lake, StorageError};

const FOLDER: &str = "_epochs";
/// Names the newest epoch some writer knew of: where to start looking, never believed to be the newest.
const HINT: &str = "_newest";
const ATTEMPTS: u32 = 100;
/// Epochs of this age are all there: well within the time for which all of them are kept.
const FRESH: chrono::Duration = chrono::Duration::minutes(10);

/// A published state of the lake: which version of each table readers see.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Epoch {
    /// 1, 2, …
    pub number: u64,
    /// When it was published.
    pub published_at: DateTime<Utc>,
    /// The run that published it.
    pub run_id: String,
    /// The epoch before it.
    pub parent: Option<u64>,
    /// The version of each table.
    pub tables: BTreeMap<TableName, u64>,
    /// The SQL of each view.
    #[serde(default)]
    pub views: BTreeMap<TableName, String>,
    /// What was checked before, and how it went.
    #[serde(default)]
    pub gates: Value,
    /// The older epoch this one shows again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_of: Option<u64>,
    /// What a rollback took back. It stays so until something else is built: what a build finds unchanged is not published again.
    #[serde(default, skip_serializing_if = "Withdrawn::is_empty")]
    pub withdrawn: Withdrawn,
}

/// Versions and views that were published and taken back.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Withdrawn {
    /// Per table the newest version that was taken back, with all before it that are not shown.
    pub tables: BTreeMap<TableName, u64>,
    /// The SQL of views.
    pub views: BTreeMap<TableName, String>,
}

impl Withdrawn {
    /// Whether nothing was taken back.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.views.is_empty()
    }

    /// What `now` shows and `then` does not.
    fn between(now: &Epoch, then: &Epoch) -> Self {
        let mut withdrawn = now.withdrawn.clone();
        let tables = now.tables.iter().filter(|(name, version)| then.tables.get(*name) != Some(version));
        withdrawn.tables.extend(tables.map(|(name, version)| (name.clone(), *version)));
        let views = now.views.iter().filter(|(name, sql)| then.views.get(*name) != Some(sql));
        withdrawn.views.extend(views.map(|(name, sql)| (name.clone(), sql.clone())));
        // What is shown again is not taken back.
        withdrawn.tables.retain(|name, version| then.tables.get(name) != Some(version));
        withdrawn.views.retain(|name, sql| then.views.get(name) != Some(sql));
        withdrawn
    }
}

/// An epoch before it has a number.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EpochDraft {
    /// The run that publishes.
    pub run_id: String,
    /// The version of each table.
    pub tables: BTreeMap<TableName, u64>,
    /// The SQL of each view.
    pub views: BTreeMap<TableName, String>,
    /// What was checked, and how it went.
    pub gates: Value,
    /// The older epoch that is shown again.
    pub rollback_of: Option<u64>,
    /// What is taken back.
    pub withdrawn: Withdrawn,
}

/// What differs between two epochs.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct EpochDiff {
    /// Tables only the second has, with their version.
    pub tables_added: BTreeMap<TableName, u64>,
    /// Tables only the first has.
    pub tables_removed: BTreeMap<TableName, u64>,
    /// Tables with another version: first, second.
    pub tables_changed: BTreeMap<TableName, (u64, u64)>,
    /// Views only the second has.
    pub views_added: Vec<TableName>,
    /// Views only the first has.
    pub views_removed: Vec<TableName>,
    /// Views with another definition.
    pub views_changed: Vec<TableName>,
}

impl EpochDiff {
    /// From `first` to `second`.
    pub fn between(first: &Epoch, second: &Epoch) -> Self {
        let mut diff = Self::default();
        for (table, version) in &second.tables {
            match first.tables.get(table) {
                None => drop(diff.tables_added.insert(table.clone(), *version)),
                Some(old) if old != version => drop(diff.tables_changed.insert(table.clone(), (*old, *version))),
                Some(_) => {}
            }
        }
        let gone = first.tables.iter().filter(|(table, _)| !second.tables.contains_key(table));
        diff.tables_removed = gone.map(|(table, version)| (table.clone(), *version)).collect();
        for (view, sql) in &second.views {
            match first.views.get(view) {
                None => diff.views_added.push(view.clone()),
                Some(old) if old != sql => diff.views_changed.push(view.clone()),
                Some(_) => {}
            }
        }
        diff.views_removed = first.views.keys().filter(|view| !second.views.contains_key(view)).cloned().collect();
        diff
    }
}

fn path(number: u64) -> Path {
    Path::from_iter([FOLDER, &format!("{number}.json")])
}

impl Lake {
    /// All epochs, newest first, one after the other: there may be a great many.
    pub async fn epochs(&self) -> Result<impl futures::Stream<Item = Result<Epoch, StorageError>> + '_, StorageError> {
        let mut numbers = self.epoch_numbers().await?;
        numbers.reverse();
        Ok(futures::stream::iter(numbers).map(|number| self.epoch(number)).buffered(16))
    }

    async fn epoch_numbers(&self) -> Result<Vec<u64>, StorageError> {
        let folder = Path::from(FOLDER);
        let list = self.store.list_with_delimiter(Some(&folder)).await.map_err(self.failed("list", FOLDER))?;
        let number = |path: &Path| path.filename()?.strip_suffix(".json")?.parse().ok();
        let mut numbers: Vec<u64> = list.objects.iter().filter_map(|object| number(&object.location)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// One epoch.
    pub async fn epoch(&self, number: u64) -> Result<Epoch, StorageError> {
        self.find_epoch(number).await?.ok_or(StorageError::EpochNotFound { number })
    }

    /// The newest epoch, or `None` before the first. However many there are, a few files are read. One that is damaged is passed over:
    /// readers keep the one before it.
    pub async fn newest_epoch(&self) -> Result<Option<Epoch>, StorageError> {
        Ok(self.end_of_epochs().await?.0.map(Arc::unwrap_or_clone))
    }

    /// The newest epoch that can be read, and the first number behind all that are there.
    async fn end_of_epochs(&self) -> Result<(Option<Arc<Epoch>>, u64), StorageError> {
        let (mut newest, mut hinted) = (self.epochs.newest(), None);
        if newest.is_none() {
            let hint = self.get(&Path::from_iter([FOLDER, HINT])).await?;
            hinted = hint.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.trim().parse::<u64>().ok());
            newest = match hinted {
                Some(number) => self.readable_epoch(number).await?.map(Arc::new),
                None => None,
            };
            // Behind one that is old others may have been forgotten: counting on from there would find nothing.
            newest.take_if(|epoch| (Utc::now() - epoch.published_at).abs() > FRESH);
        }
        let mut next = newest.as_ref().map_or(1, |epoch| epoch.number + 1);
        if newest.is_none() {
            let numbers = self.epoch_numbers().await?;
            next = numbers.last().map_or(1, |last| last + 1);
            for number in numbers.into_iter().rev() {
                newest = self.readable_epoch(number).await?.map(Arc::new);
                if newest.is_some() {
                    break;
                }
            }
        }
        // Numbers have no gaps at the end: the newest is the last one found by counting on.
        loop {
            match self.find_epoch(next).await {
                Ok(Some(epoch)) => newest = Some(Arc::new(epoch)),
                Ok(None) => break,
                Err(StorageError::Damaged { path, reason }) => {
                    self.epochs.note_unreadable(next, format!("{path}: {reason}"));
                }
                Err(error) => return Err(error),
            }
            next += 1;
        }
        if let Some(number) = hinted.filter(|number| *number >= next) {
            self.epochs.note_unreadable(number, format!("{}, which {FOLDER}/{HINT} names, is not there", path(number)));
        }
        newest.iter().for_each(|epoch| self.epochs.note_newest(epoch));
        Ok((newest, next))
    }

    /// What to tell whoever is shown an epoch, if there is a newer one that cannot be read.
    pub fn unreadable_epoch(&self, shown: Option<&Epoch>) -> Option<String> {
        let shown = shown.map(|epoch| epoch.number);
        let (number, reason) = self.epochs.newest_unreadable().filter(|(number, _)| Some(*number) > shown)?;
        let instead = match shown {
            Some(shown) => format!("epoch {shown} is shown in its place"),
            None => "nothing is shown in its place".to_owned(),
        };
        Some(format!(
            "epoch {number} cannot be read ({reason}): {instead}; restore the file from a backup, or run `wardlake build`"
        ))
    }

    async fn readable_epoch(&self, number: u64) -> Result<Option<Epoch>, StorageError> {
        match self.find_epoch(number).await {
            Err(StorageError::Damaged { path, reason }) => {
                self.epochs.note_unreadable(number, format!("{path}: {reason}"));
                Ok(None)
            }
            found => found,
        }
    }

    async fn find_epoch(&self, number: u64) -> Result<Option<Epoch>, StorageError> {
        let Some(record) = self.record(number).await? else { return Ok(None) };
        let (is_base, since) = (record.is_base(), record.since);
        let epoch = match self.resolve(record).await {
            // It may have been made whole meanwhile, so that the one it was told from could go.
            Err(error @ StorageError::Damaged { .. }) => match self.record(number).await? {
                Some(again) if again.since != since => self.resolve(again).await?,
                _ => return Err(error),
            },
            resolved => resolved?,
        };
        if is_base {
            self.epochs.note_whole(&epoch);
        }
        Ok(Some(epoch))
    }

    /// Publishes: from now on this is what readers see. Of several publishers each gets a number of its own.
    pub async fn publish(&self, draft: EpochDraft) -> Result<Epoch, StorageError> {
        for _ in 0..ATTEMPTS {
            let (newest, number) = self.end_of_epochs().await?;
            if let Some(epoch) = self.try_publish(newest.as_deref(), number, draft.clone()).await? {
                return Ok(epoch);
            }
        }
        Err(StorageError::Conflict { table: FOLDER.to_owned(), attempts: ATTEMPTS })
    }

    /// Publishes what `draft` makes of the newest epoch, if anything. When another publisher is first, it is asked again, with
    /// what that one published: what is laid over the newest epoch hides nobody else's tables.
    pub async fn publish_over(
        &self,
        mut draft: impl FnMut(Option<&Epoch>) -> Option<EpochDraft> + Send,
    ) -> Result<Option<Epoch>, StorageError> {
        for _ in 0..ATTEMPTS {
            let (newest, number) = self.end_of_epochs().await?;
            let Some(draft) = draft(newest.as_deref()) else { return Ok(None) };
            if let Some(epoch) = self.try_publish(newest.as_deref(), number, draft).await? {
                return Ok(Some(epoch));
            }
        }
        Err(StorageError::Conflict { table: FOLDER.to_owned(), attempts: ATTEMPTS })
    }

    /// Publishes behind `newest`; `None` if another epoch has that number.
    async fn try_publish(
        &self,
        newest: Option<&Epoch>,
        number: u64,
        draft: EpochDraft,
    ) -> Result<Option<Epoch>, StorageError> {
        let parent = newest.map(|epoch| epoch.number);
        let EpochDraft { run_id, tables, views, gates, rollback_of, withdrawn } = draft;
        let published_at = Utc::now();
        let epoch = Epoch { number, published_at, run_id, parent, tables, views, gates, rollback_of, withdrawn };
        let epoch = Arc::new(epoch);
        if !self.put_record(&epoch).await? {
            return Ok(None);
        }
        let hint = Path::from_iter([FOLDER, HINT]);
        if let Err(error) = self.put(&hint, number.to_string()).await {
            tracing::debug!(%error, "the hint to the newest epoch was not written");
        }
        Ok(Some(Arc::unwrap_or_clone(epoch)))
    }

    /// Publishes the map of an older epoch again.
    pub async fn rollback(&self, number: u64, run_id: &str) -> Result<Epoch, StorageError> {
        let then = self.epoch(number).await?;
        let draft = |newest: Option<&Epoch>| {
            Some(EpochDraft {
                run_id: run_id.to_owned(),
                tables: then.tables.clone(),
                views: then.views.clone(),
                gates: then.gates.clone(),
                rollback_of: Some(number),
                withdrawn: newest.map(|now| Withdrawn::between(now, &then)).unwrap_or_default(),
            })
        };
        self.publish_over(draft).await?.ok_or(StorageError::EpochNotFound { number })
    }

    /// What changed from one epoch to another.
    pub async fn diff(&self, first: u64, second: u64) -> Result<EpochDiff, StorageError> {
        Ok(EpochDiff::between(&self.epoch(first).await?, &self.epoch(second).await?))
    }
}
