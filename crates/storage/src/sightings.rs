//! A grace that clocks cannot break. The times of files come from the machine's clock, and that may have been behind when they were written,
//! or have jumped since: by it a file of a moment ago can look a day old. So nothing is deleted that only looks old:
//!
//! - Each pass over the lake notes what it sees for the first time. Deleted is what the *same process* saw a grace ago by its monotonic
//!   clock, which goes on evenly whatever the machine's does.
//! - Processes have no such clock in common. What an *earlier process* noted, in `_state/unneeded/`, counts at the first pass of a later one,
//!   if the machine's clock says that this was a grace ago; at its next passes it goes by its own. A jump between the two can therefore cost
//!   some of the grace of what was seen before by another pass, and never that of a file that is new.
//! - A lost or unreadable note costs a pass.
//! - Rows and epochs, which only the machine's clock gives an age, are as old as they were by what it showed at a pass a grace ago
//!   ([`crate::Lake::settled_time`]).

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

/// What passes of this process have seen, by subject: the files of a table, say.
#[derive(Debug, Default)]
pub(crate) struct Sightings(Mutex<HashMap<String, Seen>>);

impl Sightings {
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was seen of one subject, by name.
pub(crate) type Seen = BTreeMap<String, First>;

/// When something was seen first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct First {
    /// By the machine's clock.
    pub(crate) at: DateTime<Utc>,
    /// By that of this process; none if another one saw it.
    here: Option<Instant>,
}

impl First {
    fn is_ago(self, grace: Duration, now: DateTime<Utc>, here: Instant) -> bool {
        match self.here {
            Some(first) => here.saturating_duration_since(first) >= grace,
            None => (now - self.at).to_std().is_ok_and(|age| age >= grace),
        }
    }
}

/// The names of which it is certain that they were seen a grace ago, and what is known from now on.
pub(crate) fn settle(
    known: &Seen,
    names: BTreeMap<String, Duration>,
    now: DateTime<Utc>,
    here: Instant,
) -> (Vec<String>, Seen) {
    let (mut settled, mut next) = (Vec::new(), Seen::new());
    for (name, grace) in names {
        let first = known.get(&name).copied().unwrap_or(First { at: now, here: Some(here) });
        if first.is_ago(grace, now, here) {
            settled.push(name.clone());
        }
        next.insert(name, First { here: first.here.or(Some(here)), ..first });
    }
    (settled, next)
}

/// What an earlier process noted. A note that cannot be read costs that the grace of all it names begins once more.
pub(crate) fn noted(bytes: Option<bytes::Bytes>) -> Seen {
    let times = bytes.and_then(|bytes| serde_json::from_slice::<BTreeMap<String, DateTime<Utc>>>(&bytes).ok());
    times.into_iter().flatten().map(|(name, at)| (name, First { at, here: None })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn names(names: &[&str]) -> BTreeMap<String, Duration> {
        names.iter().map(|name| ((*name).to_owned(), HOUR)).collect()
    }

    #[test]
    fn a_clock_that_jumps_makes_nothing_old() {
        let (now, here) = (Utc::now(), Instant::now());
        let year = chrono::Duration::days(365);
        let (settled, known) = settle(&Seen::new(), names(&["a", "b"]), now, here);
        assert!(settled.is_empty());
        let (settled, known) = settle(&known, names(&["a", "b", "c"]), now + year, here + HOUR / 2);
        assert!(settled.is_empty(), "{settled:?}");
        // One that was needed again meanwhile starts anew.
        let (settled, known) = settle(&known, names(&["b", "c"]), now - year, here + HOUR);
        assert_eq!(settled, ["b"]);
        assert_eq!(settle(&known, names(&["a", "c"]), now, here + HOUR).0, [""; 0]);
    }

    #[test]
    fn another_process_is_believed_once() {
        let (now, here) = (Utc::now(), Instant::now());
        let day = chrono::Duration::days(1);
        let text = |at: DateTime<Utc>| Some(serde_json::json!({"a": at}).to_string().into());
        assert_eq!(settle(&noted(text(now - day)), names(&["a", "b"]), now, here).0, ["a"]);
        let (settled, known) = settle(&noted(text(now)), names(&["a"]), now, here);
        assert!(settled.is_empty());
        let (settled, known) = settle(&known, names(&["a"]), now + day, here + HOUR / 2);
        assert!(settled.is_empty(), "from then on it is this process's clock that counts");
        assert_eq!(settle(&known, names(&["a"]), now + day, here + HOUR).0, ["a"]);
        // A clock that was ahead.
        assert!(settle(&noted(text(now + day)), names(&["a"]), now, here).0.is_empty());
        assert!(noted(Some("{".into())).is_empty() && noted(None).is_empty());
    }
}
