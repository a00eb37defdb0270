//! Which epochs stay: all of the last hour, one an hour for a day, one a day for a month. A server publishes several a second, and nobody
//! goes back to one of yesterday by its number.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use object_store::ObjectStoreExt;
use wardlake_core::TableName;

use super::path;
use crate::{Lake, StorageError};

/// How long epochs stay.
#[derive(Clone, Copy, Debug)]
pub struct EpochRetention {
    /// All of them.
    pub all: Duration,
    /// The last of each hour (UTC).
    pub hourly: Duration,
    /// The last of each day (UTC).
    pub daily: Duration,
}

impl Default for EpochRetention {
    fn default() -> Self {
        const HOUR: u64 = 60 * 60;
        Self {
            all: Duration::from_secs(HOUR),
            hourly: Duration::from_secs(24 * HOUR),
            daily: Duration::from_secs(31 * 24 * HOUR),
        }
    }
}

/// What thinning needs to know of an epoch.
struct Old {
    number: u64,
    published_at: DateTime<Utc>,
    since: Option<u64>,
}

impl EpochRetention {
    /// The span of which the last epoch stays, as seconds since 1970; none if none of that time do.
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
        let last: BTreeMap<(i64, i64), u64> =
            old.iter().filter_map(|epoch| Some((self.span(epoch.published_at, now)?, epoch.number))).collect();
        let kept: BTreeSet<u64> = last.into_values().collect();
        let told_from = old.iter().filter(|epoch| kept.contains(&epoch.number)).filter_map(|epoch| epoch.since);
        told_from.chain(kept.iter().copied()).collect()
    }
}

impl Lake {
    /// Forgets epochs by age. Those that others are told from stay, and the newest, whatever their age. Looks at `limit` of them at most,
    /// oldest first, and returns how many were forgotten.
    pub async fn thin_epochs(
        &self,
        retention: EpochRetention,
        now: DateTime<Utc>,
        limit: usize,
    ) -> Result<usize, StorageError> {
        let mut numbers = self.epoch_numbers().await?.into_iter().peekable();
        // Whatever is younger than the old ones is told from this whole epoch or from a later one.
        let mut told_from = 0;
        let mut old = Vec::new();
        while let Some(number) = numbers.next() {
            let record = match self.record(number).await {
                Ok(Some(record)) => record,
                // It is gone, or damaged: evidence stays.
                Ok(None) | Err(StorageError::Damaged { .. }) => continue,
                Err(error) => return Err(error),
            };
            told_from = record.since.unwrap_or(number);
            let is_old = (now - record.published_at).to_std().is_ok_and(|age| age > retention.all);
            if !is_old || old.len() == limit || numbers.peek().is_none() {
                break;
            }
            old.push(Old { number, published_at: record.published_at, since: record.since });
        }
        let kept = retention.kept(&old, now);
        let mut forgotten = 0;
        let is_told_from = |epoch: &Old| epoch.since.is_none() && epoch.number >= told_from;
        for epoch in old.iter().filter(|epoch| !kept.contains(&epoch.number) && !is_told_from(epoch)) {
            let path = path(epoch.number);
            self.store.delete(&path).await.map_err(self.failed("delete", &path))?;
            forgotten += 1;
        }
        Ok(forgotten)
    }

    /// Every version of every table that an epoch names, and when the newest record that does was published. Memory grows with the versions,
    /// not with the epochs.
    pub async fn published_versions(&self) -> Result<PublishedVersions, StorageError> {
        let mut versions = PublishedVersions::new();
        for number in self.epoch_numbers().await? {
            // What a difference does not name stands in the whole epoch that it is told from.
            let record = match self.record(number).await {
                Ok(Some(record)) => record,
                Ok(None) | Err(StorageError::Damaged { .. }) => continue,
                Err(error) => return Err(error),
            };
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
    fn the_last_of_each_hour_and_day_stay_with_what_they_are_told_from() {
        let now = DateTime::from_timestamp(100 * 86_400, 0).unwrap();
        let at = |hours: i64, minutes: i64| now - chrono::Duration::minutes(60 * hours + minutes);
        let old = |number, published_at, since| Old { number, published_at, since };
        let epochs = [
            old(1, at(24 * 40, 0), None),
            old(2, at(24 * 10, 90), None),
            old(3, at(24 * 10, 30), Some(2)),
            old(4, at(5, 50), Some(2)),
            old(5, at(5, 40), Some(2)),
            old(6, at(4, 10), None),
        ];
        let kept = EpochRetention::default().kept(&epochs, now);
        assert_eq!(kept.into_iter().collect::<Vec<_>>(), [2, 3, 5, 6]);
    }
}
