//! The lease on a lake in an object store, where no system ends a lock with its process.
//!
//! `_owner.json` says who has it. The holder writes it anew three times in its life, each time only over its own last record, so that whoever
//! wrote in between has the lake. Nobody compares the clocks of two machines: a record that one process has watched unchanged for the whole
//! life of a lease, by its own clock, is over. The holder counts from before it asked for its last renewal, which is earlier than anybody
//! can have seen that renewal, and writes nothing behind the end of that time ([`Lake::write_until`]).
//!
//! A clock that stood still with its machine does not tell. What is left then is the ledger: a commit says where it expects the table's to
//! stand, and where another server moved it the commit fails.

use std::{
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};
use wardlake_storage::{Lake, Mark};

use crate::{error::LoadError, ownership::Holder};

/// The file, at the root of the lake.
pub(crate) const FILE: &str = "_owner.json";
/// How long a lease holds. A standby serves within 30 seconds of its owner's end: this, a look or two, and a start.
pub const LASTS: Duration = Duration::from_secs(15);
/// So many times in its life it is renewed: two of them may fail.
const RENEWALS: u32 = 3;
/// A store that does not answer is asked again after so long.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// A store has so long to take that a lease was given up: a stop waits for it.
const GIVE_UP_WITHIN: Duration = Duration::from_millis(1500);

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    #[serde(flatten)]
    holder: Holder,
    /// Drawn by the holder: processes of two machines may have one number and one name.
    id: String,
    /// Counts what the holder wrote, so that no two records are the same.
    sequence: u64,
    lasts_ms: u64,
    /// The holder has ended by itself.
    #[serde(default)]
    is_given_up: bool,
}

impl Record {
    /// The first record of a lease that this process wants.
    pub(crate) fn of_this_process(lasts: Duration) -> Self {
        Self {
            holder: Holder::this_process(),
            id: uuid::Uuid::new_v4().to_string(),
            sequence: 1,
            lasts_ms: u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX),
            is_given_up: false,
        }
    }

    pub(crate) fn holder(&self) -> &Holder {
        &self.holder
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// It is wanted from now on.
    pub(crate) fn begin(&mut self) {
        self.holder = Holder::this_process();
    }

    fn lasts(&self) -> Duration {
        Duration::from_millis(self.lasts_ms)
    }

    fn next(&self) -> Self {
        Self { sequence: self.sequence + 1, ..self.clone() }
    }

    fn text(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

/// What one who wants the lease has seen of its holder.
#[derive(Debug, Default)]
pub(crate) struct Watch(Option<Seen>);

#[derive(Debug)]
struct Seen {
    mark: Mark,
    since: Instant,
    /// The record changed while it was watched.
    is_renewed: bool,
}

impl Watch {
    /// Whether the record has been watched unchanged for so long.
    fn is_over(&mut self, mark: &Mark, lasts: Duration) -> bool {
        let now = Instant::now();
        if let Some(seen) = &self.0
            && seen.mark == *mark
        {
            return now.duration_since(seen.since) >= lasts;
        }
        let is_renewed = self.0.is_some();
        self.0 = Some(Seen { mark: mark.clone(), since: now, is_renewed });
        false
    }

    /// There is a record, and nothing says yet whether its holder lives.
    pub(crate) fn is_undecided(&self) -> bool {
        self.0.as_ref().is_some_and(|seen| !seen.is_renewed)
    }
}

/// A lease that this process has and renews.
#[derive(Debug)]
pub(crate) struct Lease {
    lake: Arc<Lake>,
    /// Ends with the reason why it was lost.
    keeping: JoinHandle<Result<(), String>>,
    give_up: Option<oneshot::Sender<()>>,
}

impl Lease {
    /// Takes it, if nobody has it: [`LoadError::Owned`] otherwise. `ended`: a lease whose holder is known to have ended.
    pub(crate) async fn take(
        lake: &Arc<Lake>,
        wanted: &Record,
        watch: &mut Watch,
        ended: Option<&str>,
    ) -> Result<Self, LoadError> {
        let path = FILE.into();
        loop {
            let over = match lake.get_marked(&path).await? {
                None => None,
                Some((bytes, mark)) => match serde_json::from_slice::<Record>(&bytes) {
                    // Its own record is of an attempt whose answer was lost.
                    Ok(Record { is_given_up, id, .. })
                        if is_given_up || id == wanted.id || Some(id.as_str()) == ended =>
                    {
                        Some(mark)
                    }
                    record => {
                        let lasts = record.as_ref().map_or(LASTS, Record::lasts);
                        if !watch.is_over(&mark, lasts) {
                            // A record that cannot be read is somebody's all the same, until it is over.
                            let holder = record.map(|record| record.holder).unwrap_or_default();
                            return Err(LoadError::Owned { what: lake.url().to_string(), holder });
                        }
                        Some(mark)
                    }
                },
            };
            let asked = Instant::now();
            if let Some(mark) = lake.put_over(&path, wanted.text(), over.as_ref()).await? {
                return Ok(Self::keep(lake, wanted.clone(), mark, asked));
            }
            // Somebody was first, and has a life of its own.
            *watch = Watch::default();
        }
    }

    fn keep(lake: &Arc<Lake>, record: Record, mark: Mark, asked: Instant) -> Self {
        let until = asked + record.lasts();
        lake.write_until(Some(until));
        let (give_up, is_given_up) = oneshot::channel();
        let keeper = Keeper { lake: Arc::clone(lake), record, mark, until };
        Self { lake: Arc::clone(lake), keeping: tokio::spawn(keeper.run(is_given_up)), give_up: Some(give_up) }
    }

    /// Waits until it is lost; why. To be called once.
    pub(crate) async fn lost(&mut self) -> String {
        match (&mut self.keeping).await {
            Ok(Err(reason)) => reason,
            Err(error) => error.to_string(),
            // It was given up.
            Ok(Ok(())) => pending().await,
        }
    }

    /// Lets the next one have it at once.
    pub(crate) async fn give_up(mut self) {
        drop(self.give_up.take());
        if self.keeping.is_finished() {
            // One that was lost stays the end of all writing.
            return;
        }
        // One who is not told waits until it is over.
        if let Ok(Ok(Ok(()))) = timeout(GIVE_UP_WITHIN, &mut self.keeping).await {
            self.lake.write_until(None);
        }
    }

    /// Lets the next one have it at once. What still runs in this process, and nobody waits for, writes nothing to the lake any more.
    pub(crate) async fn give_up_for_good(self) {
        let lake = Arc::clone(&self.lake);
        self.give_up().await;
        lake.write_until(Some(Instant::now()));
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // One that was lost stays the end of all writing.
        if !self.keeping.is_finished() {
            self.keeping.abort();
            self.lake.write_until(None);
        }
    }
}

/// Renews a lease.
struct Keeper {
    lake: Arc<Lake>,
    record: Record,
    mark: Mark,
    /// Nobody else can have it before.
    until: Instant,
}

impl Keeper {
    /// Renews it until it is given up, or lost: why.
    async fn run(mut self, mut is_given_up: oneshot::Receiver<()>) -> Result<(), String> {
        let mut wait = self.pause();
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            tokio::select! {
                _ = &mut is_given_up => {
                    self.end().await;
                    return Ok(());
                }
                () = sleep(wait.min(left)) => {}
            }
            wait = match self.renew().await {
                Ok(true) => self.pause(),
                Ok(false) => AGAIN_AFTER.min(self.pause()),
                Err(reason) => {
                    self.lake.write_until(Some(Instant::now()));
                    return Err(reason);
                }
            };
        }
    }

    /// Between two renewals.
    fn pause(&self) -> Duration {
        self.record.lasts() / RENEWALS
    }

    /// Whether the store took the next record; an error if the lease is lost.
    async fn renew(&mut self) -> Result<bool, String> {
        let asked = Instant::now();
        if asked >= self.until {
            return Err(format!(
                "its lease was not renewed for {} s, because the process was paused or the store did not answer",
                self.record.lasts().as_secs()
            ));
        }
        let next = self.record.next();
        let path = FILE.into();
        let put = self.lake.put_over(&path, next.text(), Some(&self.mark));
        match timeout(self.pause(), put).await {
            Ok(Ok(Some(mark))) => {
                self.until = asked + next.lasts();
                self.lake.write_until(Some(self.until));
                (self.record, self.mark) = (next, mark);
                Ok(true)
            }
            Ok(Ok(None)) => self.look().await,
            Ok(Err(_)) | Err(_) => Ok(false),
        }
    }

    /// Whose record is there: an own one, if the answer to an earlier renewal was lost.
    async fn look(&mut self) -> Result<bool, String> {
        let path = FILE.into();
        let Ok(Ok(found)) = timeout(self.pause(), self.lake.get_marked(&path)).await else { return Ok(false) };
        let Some((bytes, mark)) = found else { return Err(format!("{FILE} was deleted")) };
        match serde_json::from_slice::<Record>(&bytes) {
            Ok(record) if record.id == self.record.id => {
                (self.record, self.mark) = (record, mark);
                Ok(false)
            }
            Ok(record) => Err(format!("{} has it now", record.holder)),
            Err(_) => Err(format!("{FILE} was replaced")),
        }
    }

    /// Nothing is written behind it, until who gave it up says otherwise.
    async fn end(self) {
        self.lake.write_until(Some(Instant::now()));
        let last = Record { is_given_up: true, ..self.record.next() };
        // One who is not told waits until it is over.
        let _ = self.lake.put_over(&FILE.into(), last.text(), Some(&self.mark)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_secs(2);

    async fn wait_for(lake: &Arc<Lake>, wanted: &Record) -> (Lease, Duration) {
        let (began, mut watch) = (Instant::now(), Watch::default());
        loop {
            match Lease::take(lake, wanted, &mut watch, None).await {
                Ok(lease) => return (lease, began.elapsed()),
                Err(LoadError::Owned { .. }) => sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a01_a_lease_is_renewed_given_up_and_taken_over() {
        let lake = Lake::open("memory://").await.unwrap();
        let record = || Record::of_this_process(SHORT);
        let first = Lease::take(&lake, &record(), &mut Watch::default(), None).await.unwrap();
        // One who watches it learns within a renewal that its holder lives.
        let (other, mut watch) = (record(), Watch::default());
        let began = Instant::now();
        while Lease::take(&lake, &other, &mut watch, None).await.is_err()
            && (began.elapsed() < SHORT || watch.is_undecided())
        {
            sleep(Duration::from_millis(20)).await;
        }
        assert!(!watch.is_undecided() && lake.may_write(), "it was not renewed");
        let refused = Lease::take(&lake, &other, &mut watch, None).await.unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        first.give_up().await;
        let (second, waited) = wait_for(&lake, &other).await;
        assert!(waited < SHORT, "what was given up is free at once");
        second.give_up_for_good().await;
        assert!(!lake.may_write(), "what nobody waited for writes on");
        let (second, waited) = wait_for(&lake, &record()).await;
        assert!(waited < SHORT && lake.may_write());
        // A holder that died gives nothing up.
        drop(second);
        let (_third, waited) = wait_for(&lake, &record()).await;
        assert!(waited >= SHORT, "a lease was taken after {waited:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a01_a_holder_whose_record_was_replaced_stops_to_write() {
        let lake = Lake::open("memory://").await.unwrap();
        let wanted = Record::of_this_process(SHORT);
        let mut lease = Lease::take(&lake, &wanted, &mut Watch::default(), None).await.unwrap();
        let holder = Holder { host: "north".to_owned(), ..Holder::this_process() };
        let theirs = Record { holder, ..Record::of_this_process(LASTS) };
        lake.put(&FILE.into(), theirs.text()).await.unwrap();
        let reason = lease.lost().await;
        assert!(reason.contains("on north") && !lake.may_write(), "{reason}");
        drop(lease);
        assert!(!lake.may_write());
    }

    #[tokio::test]
    async fn a01_a_holder_that_stood_still_stops_to_write_though_nobody_else_came() {
        let lake = Lake::open("memory://").await.unwrap();
        let wanted = Record::of_this_process(SHORT);
        let mut lease = Lease::take(&lake, &wanted, &mut Watch::default(), None).await.unwrap();
        // The one thread of this runtime stands still: nothing is renewed.
        std::thread::sleep(SHORT);
        assert!(!lake.may_write());
        let reason = lease.lost().await;
        assert!(reason.contains("was not renewed"), "{reason}");
    }
}
