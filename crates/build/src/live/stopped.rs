//! Models that failed in a wave. Each stands still alone, with what reads it, until its next try; loading and every other model go on
//! without it. What it missed waits in the tables it reads, as `changes()` knows what it has consumed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use wardlake_project::UniqueId;

/// After a failure the next try waits so long, and twice as long after each further one, up to the longest.
pub const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest of these pauses.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A model that stands still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedModel {
    /// dbt's unique id.
    pub unique_id: String,
    /// When it first failed (UTC).
    pub since: DateTime<Utc>,
    /// Why it failed last.
    pub cause: String,
    /// Failures in a row.
    pub tries: u32,
    /// When it is tried again (UTC).
    pub next_try_at: DateTime<Utc>,
    /// Models that wait for it, by unique id.
    pub holds_up: Vec<String>,
}

/// When something that failed is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pause: Duration,
    due: Instant,
}

impl Pace {
    /// After a first failure.
    pub fn after_failure(now: Instant) -> Self {
        Self { pause: FIRST_PAUSE, due: now + FIRST_PAUSE }
    }

    /// After another one in a row.
    pub fn slower(self, now: Instant) -> Self {
        let pause = (self.pause * 2).min(LONGEST_PAUSE);
        Self { pause, due: now + pause }
    }

    /// When the next try may begin.
    pub fn due(&self) -> Instant {
        self.due
    }
}

#[derive(Debug)]
struct Stop {
    since: DateTime<Utc>,
    cause: String,
    tries: u32,
    pace: Pace,
}

/// The models that stand still.
#[derive(Debug, Default)]
pub(super) struct Stopped(BTreeMap<UniqueId, Stop>);

impl Stopped {
    /// Those whose next try has come, and those that rest until theirs.
    pub(super) fn split(&self, now: Instant) -> (BTreeSet<UniqueId>, BTreeSet<UniqueId>) {
        let (due, resting): (Vec<_>, Vec<_>) = self.0.iter().partition(|(_, stop)| stop.pace.due <= now);
        let ids = |stops: Vec<(&UniqueId, &Stop)>| stops.into_iter().map(|(id, _)| id.clone()).collect();
        (ids(due), ids(resting))
    }

    /// When the first of them is tried again.
    pub(super) fn next_try(&self) -> Option<Instant> {
        self.0.values().map(|stop| stop.pace.due).min()
    }

    /// Notes a failure. True if people are to be told: it is the first, or has another cause.
    pub(super) fn failed(&mut self, id: UniqueId, cause: &str, now: Instant) -> bool {
        match self.0.get_mut(&id) {
            Some(stop) => {
                stop.tries += 1;
                stop.pace = stop.pace.slower(now);
                let is_other = stop.cause != cause;
                cause.clone_into(&mut stop.cause);
                is_other
            }
            None => {
                let stop =
                    Stop { since: Utc::now(), cause: cause.to_owned(), tries: 1, pace: Pace::after_failure(now) };
                self.0.insert(id, stop);
                true
            }
        }
    }

    /// A model that was due could not be tried, as one above it failed.
    pub(super) fn put_off(&mut self, id: &UniqueId, now: Instant) {
        if let Some(stop) = self.0.get_mut(id) {
            stop.pace = stop.pace.slower(now);
        }
    }

    /// Notes a success. True if the model stood still before.
    pub(super) fn succeeded(&mut self, id: &UniqueId) -> bool {
        self.0.remove(id).is_some()
    }

    /// For people. `below` gives the models that wait for one.
    pub(super) fn list(&self, below: impl Fn(&UniqueId) -> Vec<String>) -> Vec<StoppedModel> {
        let now = Instant::now();
        let stopped = self.0.iter().map(|(id, stop)| StoppedModel {
            unique_id: id.to_string(),
            since: stop.since,
            cause: stop.cause.clone(),
            tries: stop.tries,
            next_try_at: Utc::now() + stop.pace.due.saturating_duration_since(now),
            holds_up: below(id),
        });
        stopped.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_tried_again_at_its_own_pace() {
        let (mut stopped, start) = (Stopped::default(), Instant::now());
        let id: UniqueId = "model.ward.a".into();
        assert!(stopped.failed(id.clone(), "one", start));
        assert!(!stopped.failed(id.clone(), "one", start));
        assert!(stopped.failed(id.clone(), "other", start));
        assert_eq!(stopped.next_try(), Some(start + 4 * FIRST_PAUSE));
        assert_eq!(stopped.split(start).1.len(), 1);
        assert_eq!(stopped.split(start + 4 * FIRST_PAUSE).0.len(), 1);
        for _ in 0..40 {
            stopped.put_off(&id, start);
        }
        assert_eq!(stopped.next_try(), Some(start + LONGEST_PAUSE));
        assert_eq!(stopped.list(|_| vec!["model.ward.b".to_owned()])[0].tries, 3);
        assert!(stopped.succeeded(&id) && !stopped.succeeded(&id));
        assert_eq!(stopped.next_try(), None);
    }
}
