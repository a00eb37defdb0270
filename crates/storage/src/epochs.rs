//! Epochs: what readers see. One small immutable record per publication, `_epochs/<N>.json`, put if absent.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStoreExt, path::Path};
use serde_json::Value;
use wardlake_core::TableName;

use crate::{Lake, StorageError};

const FOLDER: &str = "_epochs";
/// Names the newest epoch some writer knew of: where to start looking, never believed to be the newest.
const HINT: &str = "_newest";
const ATTEMPTS: u32 = 100;

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
    /// All epochs, oldest first.
    pub async fn epochs(&self) -> Result<Vec<Epoch>, StorageError> {
        let numbers = self.epoch_numbers().await?;
        futures::stream::iter(numbers).map(|number| self.epoch(number)).buffered(16).try_collect().await
    }

    async fn epoch_numbers(&self) -> Result<Vec<u64>, StorageError> {
        let folder = Path::from(FOLDER);
        let list = self.store.list_with_delimiter(Some(&folder)).await.map_err(self.failed("list", FOLDER))?;
        let number = |path: &Path| path.filename()?.strip_suffix(".json")?.parse().ok();
        let mut numbers: Vec<u64> = list.objects.iter().filter_map(|object| number(&object.location)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Forgets epochs that were published longer than `keep_all` ago, except the last one of each hour: a server publishes
    /// several a second, and nobody goes back to one of them by its number. The newest stays whatever its age. Returns how many
    /// were forgotten, `limit` at most.
    pub async fn thin_epochs(&self, keep_all: std::time::Duration, limit: usize) -> Result<usize, StorageError> {
        let cutoff = Utc::now() - chrono::Duration::from_std(keep_all).unwrap_or(chrono::Duration::MAX / 2);
        let numbers = self.epoch_numbers().await?;
        let hour = |epoch: &Epoch| epoch.published_at.timestamp().div_euclid(3600);
        let mut before: Option<Epoch> = None;
        let mut forgotten = 0;
        for number in numbers {
            let Some(epoch) = self.find_epoch(number).await? else { continue };
            if epoch.published_at >= cutoff || forgotten == limit {
                break;
            }
            if let Some(older) = before.take().filter(|older| hour(older) == hour(&epoch)) {
                let path = path(older.number);
                self.store.delete(&path).await.map_err(self.failed("delete", &path))?;
                forgotten += 1;
            }
            before = Some(epoch);
        }
        Ok(forgotten)
    }

    /// One epoch.
    pub async fn epoch(&self, number: u64) -> Result<Epoch, StorageError> {
        self.find_epoch(number).await?.ok_or(StorageError::EpochNotFound { number })
    }

    /// The newest epoch, or `None` before the first. Reads the hint and the few files after it, however many epochs there are.
    pub async fn newest_epoch(&self) -> Result<Option<Epoch>, StorageError> {
        let hint = self.get(&Path::from_iter([FOLDER, HINT])).await?;
        let hinted = hint.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.trim().parse::<u64>().ok());
        let mut newest = match hinted {
            Some(number) => self.find_epoch(number).await?,
            None => None,
        };
        if newest.is_none()
            && let Some(number) = self.epoch_numbers().await?.last()
        {
            newest = self.find_epoch(*number).await?;
        }
        // Numbers have no gaps at the end: the newest is the last one found by counting on.
        loop {
            let next = newest.as_ref().map_or(1, |epoch| epoch.number + 1);
            match self.find_epoch(next).await? {
                Some(epoch) => newest = Some(epoch),
                None => return Ok(newest),
            }
        }
    }

    async fn find_epoch(&self, number: u64) -> Result<Option<Epoch>, StorageError> {
        let path = path(number);
        let Some(bytes) = self.get(&path).await? else { return Ok(None) };
        let damaged = |reason: String| StorageError::Damaged { path: path.to_string(), reason };
        let epoch: Epoch = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if epoch.number != number {
            return Err(damaged(format!("it says it is epoch {}", epoch.number)));
        }
        Ok(Some(epoch))
    }

    /// Publishes: from now on this is what readers see. Of several publishers each gets a number of its own.
    pub async fn publish(&self, draft: EpochDraft) -> Result<Epoch, StorageError> {
        for _ in 0..ATTEMPTS {
            let newest = self.newest_epoch().await?;
            if let Some(epoch) = self.try_publish(newest.as_ref(), draft.clone()).await? {
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
            let newest = self.newest_epoch().await?;
            let Some(draft) = draft(newest.as_ref()) else { return Ok(None) };
            if let Some(epoch) = self.try_publish(newest.as_ref(), draft).await? {
                return Ok(Some(epoch));
            }
        }
        Err(StorageError::Conflict { table: FOLDER.to_owned(), attempts: ATTEMPTS })
    }

    /// Publishes behind `newest`; `None` if another epoch has that place.
    async fn try_publish(&self, newest: Option<&Epoch>, draft: EpochDraft) -> Result<Option<Epoch>, StorageError> {
        let parent = newest.map(|epoch| epoch.number);
        let EpochDraft { run_id, tables, views, gates, rollback_of } = draft;
        let number = parent.unwrap_or(0) + 1;
        let epoch = Epoch { number, published_at: Utc::now(), run_id, parent, tables, views, gates, rollback_of };
        let damaged = |error: serde_json::Error| StorageError::Damaged {
            path: path(number).to_string(),
            reason: error.to_string(),
        };
        let bytes = serde_json::to_vec_pretty(&epoch).map_err(damaged)?;
        if !self.put_if_absent(&path(number), bytes).await? {
            return Ok(None);
        }
        let hint = Path::from_iter([FOLDER, HINT]);
        if let Err(error) = self.put(&hint, number.to_string()).await {
            tracing::debug!(%error, "the hint to the newest epoch was not written");
        }
        Ok(Some(epoch))
    }

    /// Publishes the map of an older epoch again.
    pub async fn rollback(&self, number: u64, run_id: &str) -> Result<Epoch, StorageError> {
        let Epoch { tables, views, gates, .. } = self.epoch(number).await?;
        self.publish(EpochDraft { run_id: run_id.to_owned(), tables, views, gates, rollback_of: Some(number) }).await
    }

    /// What changed from one epoch to another.
    pub async fn diff(&self, first: u64, second: u64) -> Result<EpochDiff, StorageError> {
        Ok(EpochDiff::between(&self.epoch(first).await?, &self.epoch(second).await?))
    }
}
