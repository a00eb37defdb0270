//! Which epochs stay: all of the last hour, one an hour for a day, one a day for a month. A server publishes several a second, and nobody
//! goes back to one of yesterday by its number. Of a span the one stays that costs least (`cost.rs`), and of those that cost the same the last:
//! one that was published right before its tables were merged would keep all the small files for as long as it stays.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    pin::pin,
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use wardlake_core::TableName;

use super::{Epoch, path, record::Record};
use crate::{Lake, StorageError};

/// How long epochs stay.
#[derive(Clone, Copy, Debug)]
pub struct EpochRetention {
    /// All of them.
    pub all: Duration,
    /// Of each hour (UTC) the last of those that cost least.
    pub hourly: Duration,
    /// And of each day (UTC).
    pub daily: Duration,
}

impl EpochRetention {
    /// All of an hour, one an hour of a day, one a day of a month.
    pub const USUAL: Self = Self {
        all: Duration::from_secs(HOUR_S),
        hourly: Duration::from_secs(24 * HOUR_S),
        daily: Duration::from_secs(31 * 24 * HOUR_S),
    };
}

const HOUR_S: u64 = 60 * 60;
/// Records that are read side by side.
const PARALLEL_READS: usize = 16;

/// Behind an epoch of this age no publisher counts on any more: twice as long as it takes one for fresh.
pub const COUNTED_ON: Duration = Duration::from_secs(20 * 60);

impl Default for EpochRetention {
    fn default() -> Self {
        Self::USUAL
    }
}

/// What thinning needs to know of an epoch.
struct Old {
    number: u64,
    published_at: DateTime<Utc>,
    since: Option<u64>,
    /// Whether others may be told from it.
    is_base: bool,
    cost: u64,
}

impl EpochRetention {
    /// The span of which one epoch stays, as seconds since 1970; none if none of that time do.
    fn span(&self, published_at: DateTime<Utc>, now: DateTime<Utc>) -> Option<(i64, i64)> {
        let age = (now - published_at).to_std().unwrap_or_default();
        let length = match age {
            age if age <= self.hourly => 60 * 60,
            age if age <= self.daily => 24 * 60 * 60,
            _ => return None,
        };
        Some((length, published_at.timestamp().div_euclid(length)))
    }

    /// Of epochs in order those that stay.
    fn kept(&self, old: &[Old], now: DateTime<Utc>) -> BTreeSet<u64> {
        let mut cheapest: BTreeMap<(i64, i64), &Old> = BTreeMap::new();
        let rank = |epoch: &Old| (epoch.cost, Reverse(epoch.number));
        for epoch in old {
            let Some(span) = self.span(epoch.published_at, now) else { continue };
            let known = cheapest.entry(span).or_insert(epoch);
            if rank(epoch) < rank(known) {
                *known = epoch;
            }
        }
        cheapest.into_values().map(|epoch| epoch.number).collect()
    }
}

/// The old epochs, oldest first, the newest of all left out.
struct OldEpochs {
    old: Vec<Old>,
    /// Whatever is younger is told from this whole epoch or from a later one.
    told_from: u64,
}

impl Lake {
    /// Forgets epochs by age. Pinned ones stay, those that younger ones are told from, and the newest, whatever their age. Looks at `limit` of
    /// them at most, oldest first, and returns how many were forgotten.
    pub async fn thin_epochs(
        &self,
        retention: EpochRetention,
        now: DateTime<Utc>,
        limit: usize,
    ) -> Result<usize, StorageError> {
        let old = self.old_epochs(retention.all, now, limit).await?;
        let kept = retention.kept(&old.old, now);
        self.forget(old, kept).await
    }

    /// Forgets those of the epochs that are older than `retention.all`; pinned ones stay, and the newest. Returns how many were forgotten.
    pub async fn forget_epochs(
        &self,
        numbers: &BTreeSet<u64>,
        retention: EpochRetention,
        now: DateTime<Utc>,
    ) -> Result<usize, StorageError> {
        let old = self.old_epochs(retention.all, now, usize::MAX).await?;
        let kept = old.old.iter().map(|epoch| epoch.number).filter(|number| !numbers.contains(number)).collect();
        self.forget(old, kept).await
    }

    /// The epochs that are older than `age`, oldest first, without the newest of all.
    pub async fn epochs_older_than(&self, age: Duration, now: DateTime<Utc>) -> Result<Vec<Epoch>, StorageError> {
        let mut epochs = Vec::new();
        for Old { number, .. } in self.old_epochs(age, now, usize::MAX).await?.old {
            match self.epoch(number).await {
                Ok(epoch) => epochs.push(epoch),
                Err(StorageError::EpochNotFound { .. } | StorageError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(epochs)
    }

    async fn old_epochs(&self, age: Duration, now: DateTime<Utc>, limit: usize) -> Result<OldEpochs, StorageError> {
        let mut numbers = self.epoch_numbers().await?.into_iter().peekable();
        let (mut old, mut told_from) = (Vec::new(), 0);
        while let Some(number) = numbers.next() {
            let Some(record) = self.readable_record(number).await? else { continue };
            // Of one that was retold it is not known what those after it are told from.
            told_from = record.since.unwrap_or(if record.is_base() { number } else { 0 });
            let is_old = (now - record.published_at).to_std().is_ok_and(|own| own > age);
            if !is_old || old.len() == limit || numbers.peek().is_none() {
                break;
            }
            let is_base = record.is_base();
            let Record { published_at, since, cost, .. } = record;
            old.push(Old { number, published_at, since, is_base, cost });
        }
        Ok(OldEpochs { old, told_from })
    }

    /// Forgets all of the old epochs but those that are `kept` or pinned.
    async fn forget(&self, epochs: OldEpochs, mut kept: BTreeSet<u64>) -> Result<usize, StorageError> {
        let OldEpochs { old, told_from } = epochs;
        kept.extend(self.pinned_numbers().await?);
        let is_told_from = |epoch: &&Old| epoch.is_base && epoch.number >= told_from;
        kept.extend(old.iter().filter(is_told_from).map(|epoch| epoch.number));
        let numbers = old.iter().map(|epoch| epoch.number);
        let mut going: BTreeSet<u64> = numbers.filter(|number| !kept.contains(number)).collect();
        // What stays is not to hold, for its own sake alone, another one with all the versions that it names.
        for epoch in old.iter().filter(|epoch| kept.contains(&epoch.number)) {
            let Some(since) = epoch.since.filter(|since| going.contains(since)) else { continue };
            if let Err(error) = self.make_whole(epoch.number).await {
                // On a full disk nothing can be retold, and others can go.
                tracing::warn!(%error, epoch = epoch.number, "an epoch cannot be retold");
                going.remove(&since);
            }
        }
        for number in &going {
            self.forget_one(*number).await?;
        }
        Ok(going.len())
    }

    /// None if it is gone, or damaged: evidence stays.
    async fn readable_record(&self, number: u64) -> Result<Option<Record>, StorageError> {
        match self.record(number).await {
            Err(StorageError::Damaged { .. }) => Ok(None),
            found => found,
        }
    }

    async fn forget_one(&self, number: u64) -> Result<(), StorageError> {
        let path = path(number);
        self.store.delete(&path).await.map_err(self.failed("delete", &path))
    }

    /// Of tables that are made anew each time only the last `versions` stay: of the epochs not older than `age`, those are forgotten that name an
    /// earlier one. Pinned ones stay, those that others are told from, those of the last minutes, behind which publishers count on, and the
    /// newest. A clock that jumped ahead makes an epoch of just now minutes old: what was published after `settled_at`, which it showed at a
    /// pass [`COUNTED_ON`] ago ([`Lake::settled_time`]), stays as well. Returns how many were forgotten.
    pub async fn thin_rebuilt(
        &self,
        tables: &BTreeSet<TableName>,
        versions: usize,
        age: Duration,
        now: DateTime<Utc>,
        settled_at: DateTime<Utc>,
    ) -> Result<usize, StorageError> {
        let mut wholes: BTreeMap<u64, BTreeMap<TableName, u64>> = BTreeMap::new();
        let mut last: BTreeMap<TableName, BTreeSet<u64>> = BTreeMap::new();
        let mut kept_bases = self.pinned_numbers().await?;
        let mut going = Vec::new();
        for (place, number) in self.epoch_numbers().await?.into_iter().rev().enumerate() {
            let Some(record) = self.readable_record(number).await? else { continue };
            let own_age = now - record.published_at;
            if own_age.to_std().is_ok_and(|own| own > age) {
                break;
            }
            let mut named = match record.since {
                None => BTreeMap::new(),
                Some(since) => match wholes.entry(since) {
                    Entry::Occupied(whole) => whole.get().clone(),
                    Entry::Vacant(place) => {
                        let Some(whole) = self.readable_record(since).await? else { continue };
                        place.insert(whole.tables).clone()
                    }
                },
            };
            named.extend(record.tables);
            let mut is_behind = false;
            for (table, version) in named.into_iter().filter(|(table, _)| tables.contains(table)) {
                let seen = last.entry(table).or_default();
                if seen.len() < versions {
                    seen.insert(version);
                }
                is_behind |= !seen.contains(&version);
            }
            let is_settled = own_age.to_std().is_ok_and(|own| own > COUNTED_ON) && record.published_at < settled_at;
            let may_go = place > 0 && is_settled && !kept_bases.contains(&number);
            if is_behind && may_go {
                going.push(number);
            } else {
                kept_bases.extend(record.since);
            }
        }
        let mut forgotten = 0;
        for number in going.into_iter().filter(|number| !kept_bases.contains(number)) {
            self.forget_one(number).await?;
            forgotten += 1;
        }
        Ok(forgotten)
    }

    /// Every version of every table that an epoch names, and when the newest record that does was published. Memory grows with the versions,
    /// not with the epochs.
    pub async fn published_versions(&self) -> Result<PublishedVersions, StorageError> {
        let mut versions = PublishedVersions::new();
        let numbers = futures::stream::iter(self.epoch_numbers().await?);
        let mut records = pin!(numbers.map(|number| self.readable_record(number)).buffered(PARALLEL_READS));
        while let Some(record) = records.try_next().await? {
            // What a difference does not name stands in the whole epoch that it is told from.
            let Some(record) = record else { continue };
            for (name, version) in record.tables {
                versions.entry(name).or_default().insert(version, record.published_at);
            }
        }
        Ok(versions)
    }
}

/// Versions that epochs name, per table.
pub type PublishedVersions = BTreeMap<TableName, BTreeMap<u64, DateTime<Utc>>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_each_hour_and_day_stay() {
        let now = DateTime::from_timestamp(100 * 86_400, 0).unwrap();
        let at = |hours: i64, minutes: i64| now - chrono::Duration::minutes(60 * hours + minutes);
        let old = |number, published_at, since: Option<u64>| {
            let is_base = since.is_none();
            Old { number, published_at, since, is_base, cost: 0 }
        };
        let epochs = [
            old(1, at(24 * 40, 0), None),
            old(2, at(24 * 10, 90), None),
            old(3, at(24 * 10, 30), Some(2)),
            old(4, at(5, 50), Some(2)),
            old(5, at(5, 40), Some(2)),
            old(6, at(4, 10), None),
        ];
        let kept = EpochRetention::default().kept(&epochs, now);
        assert_eq!(kept.into_iter().collect::<Vec<_>>(), [3, 5, 6]);
    }

    #[test]
    fn c01_of_a_span_the_epoch_stays_that_costs_least_however_often_it_is_looked_at() {
        let now = DateTime::from_timestamp(100 * 86_400, 0).unwrap();
        let start = now - chrono::Duration::hours(5);
        let costs = [9, 2, 30, 2, 40, 7, 50];
        let mut old: Vec<Old> = Vec::new();
        for (number, cost) in (1_i64..).zip(costs) {
            let published_at = start + chrono::Duration::minutes(number);
            old.push(Old { number: number.unsigned_abs(), published_at, since: Some(0), is_base: false, cost });
            let kept = EpochRetention::default().kept(&old, now);
            old.retain(|epoch| kept.contains(&epoch.number));
        }
        assert_eq!(old.iter().map(|epoch| epoch.number).collect::<Vec<_>>(), [4]);
        let kept = EpochRetention::default().kept(&old, now + chrono::Duration::days(3));
        assert_eq!(kept.into_iter().collect::<Vec<_>>(), [4]);
    }
}
