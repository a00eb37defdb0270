//! What passes over the lake see, and since when; why, says `sightings.rs`. Notes for later processes lie in `_state/unneeded/`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat, Utc};
use object_store::path::Path;

use crate::{
    Lake, StorageError,
    sightings::{Seen, noted, settle},
};

const FOLDER: &str = "_state/unneeded";
/// What the machine's clock showed at passes.
const CLOCK: &str = "clock";
/// Of the times that it showed the last of each such span is kept, however often there is a pass, and the newest [`SPANS`] of those: more
/// than a grace has.
const SPAN_S: i64 = 10 * 60;
const SPANS: usize = 24;

impl Lake {
    /// Of `names`, which are all that there is to see of `subject` now, those that were there a grace ago, each its own. What is not among
    /// them any more is forgotten. Without `is_noted` nothing is remembered of this look.
    pub(crate) async fn seen_before(
        &self,
        subject: &str,
        names: BTreeMap<String, Duration>,
        is_noted: bool,
    ) -> Result<Vec<String>, StorageError> {
        let known = self.seen(subject).await?;
        let (settled, next) = settle(&known, names, Utc::now(), Instant::now());
        if !is_noted {
            return Ok(settled);
        }
        let times = |seen: &Seen| -> BTreeMap<String, DateTime<Utc>> {
            seen.iter().map(|(name, first)| (name.clone(), first.at)).collect()
        };
        if times(&next) != times(&known) {
            let path = path(subject);
            let noted = match next.is_empty() {
                true => self.remove(&path).await,
                false => self.put(&path, serde_json::json!(times(&next)).to_string()).await,
            };
            // A full disk takes no note, and has to be cleaned all the same.
            if let Err(error) = noted {
                tracing::warn!(%error, subject, "what was seen is not noted: a later process sees it for the first time");
            }
        }
        self.sightings.lock().insert(subject.to_owned(), next);
        Ok(settled)
    }

    /// What the machine's clock showed at a pass a grace ago, and has not taken back since; none before there was one. Rows and epochs have
    /// no age but by that clock, so they are as old as they were then: one that has jumped ahead makes nothing old before somebody had a
    /// grace's time to put it right. With `is_noted` this look is a pass.
    pub async fn settled_time(&self, grace: Duration, is_noted: bool) -> Result<Option<DateTime<Utc>>, StorageError> {
        let now = Utc::now();
        let known = self.names_seen(CLOCK).await?;
        let shown =
            known.iter().filter_map(|name| time_of(name)).filter(|at| *at <= now).chain(is_noted.then_some(now));
        let last: BTreeMap<i64, DateTime<Utc>> = shown.map(|at| (at.timestamp().div_euclid(SPAN_S), at)).collect();
        let names = last.into_values().rev().take(SPANS);
        let names = names.map(|at| (at.to_rfc3339_opts(SecondsFormat::Micros, true), grace)).collect();
        let settled = self.seen_before(CLOCK, names, is_noted).await?;
        Ok(settled.iter().filter_map(|name| time_of(name)).max())
    }

    /// What there was to see of `subject` at the last pass.
    pub(crate) async fn names_seen(&self, subject: &str) -> Result<BTreeSet<String>, StorageError> {
        Ok(self.seen(subject).await?.into_keys().collect())
    }

    async fn seen(&self, subject: &str) -> Result<Seen, StorageError> {
        let here = self.sightings.lock().get(subject).cloned();
        match here {
            Some(seen) => Ok(seen),
            None => Ok(noted(self.get(&path(subject)).await?)),
        }
    }
}

fn time_of(name: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(name).ok().map(|at| at.to_utc())
}

fn path(subject: &str) -> Path {
    Path::from(format!("{FOLDER}/{subject}.json"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    async fn with_noted(times: &[DateTime<Utc>]) -> Arc<Lake> {
        let lake = Lake::open("memory://").await.unwrap();
        let name = |at: &DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let noted: BTreeMap<String, DateTime<Utc>> = times.iter().map(|at| (name(at), *at)).collect();
        lake.put(&path(CLOCK), json!(noted).to_string()).await.unwrap();
        lake
    }

    #[tokio::test]
    async fn a_time_counts_when_a_pass_a_grace_ago_saw_it_and_it_was_not_taken_back() {
        let lake = Lake::open("memory://").await.unwrap();
        assert_eq!(lake.settled_time(HOUR, true).await.unwrap(), None);
        assert_eq!(lake.settled_time(HOUR, true).await.unwrap(), None);
        assert!(lake.settled_time(Duration::ZERO, true).await.unwrap().is_some());

        let micros = |at: DateTime<Utc>| DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap();
        let now = micros(Utc::now());
        let (early, late, ahead) = (now - TimeDelta::hours(5), now - TimeDelta::minutes(30), now + TimeDelta::days(91));
        let lake = with_noted(&[early, late, ahead]).await;
        assert_eq!(lake.settled_time(HOUR, false).await.unwrap(), Some(early));
        assert_eq!(lake.settled_time(HOUR, true).await.unwrap(), Some(early));
        let known = lake.names_seen(CLOCK).await.unwrap();
        assert!(known.len() == 3 && known.iter().all(|name| time_of(name).unwrap() < ahead), "{known:?}");
    }
}
