//! The feed: joins the group, places what it is given where the caller says, reads, mends, delivers.

use std::{error::Error, future::Future, sync::Arc, time::Duration};

use krafka::{KrafkaError, consumer::ConsumerRecord, error::ErrorCode};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{
    batch::{KafkaBatch, KafkaPosition, KafkaRecord, OffsetGap},
    pending::{PartitionKey, Pending, Pushed, Standing},
    session::{Change, Session},
    settings::{KafkaSettings, Start},
    status::{KafkaMonitor, KafkaStatus, PartitionStatus},
};
use crate::{
    ConnectError,
    source::{Answer, PositionError},
};

/// The client is asked for records at least so often, whatever the settings say.
const POLL_TIMEOUT: Duration = Duration::from_millis(500);
/// The pause after a failure doubles from the one to the other.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// A partition that cannot be placed is tried again after that long, while the others are read.
const HOLD: Duration = Duration::from_secs(5);
/// The status of the partitions is brought up to date no more often than that.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// Asks the caller for the next offset of a topic's partition.
type OffsetOf = Box<dyn Fn(String, i32) -> Answer<'static, Result<Option<i64>, PositionError>> + Send + Sync>;

/// One source table's reader of its topics. See the [module](super) for what it promises.
pub struct KafkaFeed {
    label: String,
    group: String,
    settings: KafkaSettings,
    position: OffsetOf,
    opening: Option<AbortOnDropHandle<Result<Session, KrafkaError>>>,
    session: Option<Session>,
    pending: Pending,
    /// Since when the oldest undelivered entry has waited.
    waiting_since: Option<Instant>,
    /// Partitions whose next offset the broker does not have.
    out_of_range: Vec<PartitionKey>,
    retry: Retry,
    is_connected: bool,
    reported_at: Option<Instant>,
    monitor: KafkaMonitor,
}

impl KafkaFeed {
    /// A feed of the source table `label` (`<source>.<table>`). It speaks to nobody before [`KafkaFeed::next`].
    ///
    /// `position` is asked, whenever a partition is assigned, for the next offset to read of a topic and partition, as the
    /// caller's table has it; `None` means the table knows nothing of it, and `start` of the settings decides. While it
    /// fails, the partition is not read and asked for again. A relative `ca_file` is looked for in the working folder.
    pub fn new<F, R>(settings: KafkaSettings, label: &str, position: F) -> Self
    where
        F: Fn(String, i32) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Option<i64>, PositionError>> + Send + 'static,
    {
        Self {
            label: label.to_owned(),
            group: settings.group(label),
            settings,
            position: Box::new(move |topic, partition| Box::pin(position(topic, partition))),
            opening: None,
            session: None,
            pending: Pending::default(),
            waiting_since: None,
            out_of_range: Vec::new(),
            retry: Retry::default(),
            is_connected: false,
            reported_at: None,
            monitor: KafkaMonitor::default(),
        }
    }

    /// Waits for the next batch. It moves at least one position, though it may do so without a record.
    ///
    /// The call may be dropped at any time; nothing is lost and nothing delivered twice by that. A call that is dropped while
    /// the caller's position or a broker's answer is awaited asks again the next time, so calls should live longer than
    /// those answers take. While it is not called the feed neither reads nor takes part in rebalances: a caller that pauses
    /// for minutes loses its partitions to others.
    ///
    /// # Errors
    ///
    /// Settings that can never work, such as a `ca_file` that is no certificate. Calling again tries again. Everything else
    /// that goes wrong is told by [`KafkaFeed::status`] and tried again by the feed itself.
    pub async fn next(&mut self) -> Result<KafkaBatch, ConnectError> {
        loop {
            if let Some(batch) = self.due() {
                return Ok(batch);
            }
            self.retry.pause().await;
            match self.advance().await {
                Ok(()) => {}
                Err(error) if matches!(error, KrafkaError::Config { .. }) => {
                    self.failed(&error);
                    return Err(self.error("be used as it is set", error));
                }
                Err(error) => self.failed(&error),
            }
        }
    }

    /// Asks the caller for the position of a partition again and reads it from there; what was read ahead is dropped. This is
    /// the answer to a [`Fit::Ahead`](super::Fit::Ahead): another process has written the caller's ledger.
    pub fn ask_again(&mut self, topic: &str, partition: i32) {
        self.pending.ask_again(&(Arc::from(topic), partition));
    }

    /// Shows the broker how far the caller has committed, so that tools that measure a group's lag see it. Nothing depends
    /// on it: it happens in the background, only for partitions that are still this feed's, and may fail unnoticed.
    pub fn commit(&self, positions: &[KafkaPosition]) {
        if let Some(session) = &self.session {
            let key = |position: &KafkaPosition| (Arc::clone(&position.topic), position.partition);
            let ours = positions.iter().map(|position| (key(position), position.next));
            session.commit(ours.filter(|(key, _)| self.pending.standing(key).is_some()));
        }
    }

    /// How the feed is doing.
    pub fn status(&self) -> KafkaStatus {
        self.monitor.status()
    }

    /// The status for others than the feed's owner.
    pub fn monitor(&self) -> KafkaMonitor {
        self.monitor.clone()
    }

    /// Shows the last committed offsets and leaves the group, so that its other members take over at once. Takes some
    /// seconds at most. A feed that is dropped instead does the same in the background.
    ///
    /// # Errors
    ///
    /// The group could not be left; the broker then waits for the session timeout before it gives the partitions away.
    pub async fn close(mut self) -> Result<(), ConnectError> {
        let left = match self.session.take() {
            Some(session) => session.close().await,
            None => Ok(()),
        };
        self.disconnected();
        left.map_err(|error| self.error("leave its group", error))
    }

    /// A batch, if one is full or has waited long enough. While the feed recovers from a failure nothing waits for more.
    fn due(&mut self) -> Option<KafkaBatch> {
        let (records, bytes) = (self.settings.max_batch_records, self.settings.max_batch_bytes);
        if self.pending.is_empty() {
            self.waiting_since = None;
            return None;
        }
        let has_waited = self.waiting_since.is_some_and(|since| since.elapsed() >= self.settings.max_wait);
        let is_due = has_waited || self.retry.is_pending() || self.pending.fills(records, bytes);
        is_due.then(|| self.pending.take(records, bytes))
    }

    /// One step: each may be dropped wherever it waits, because what it found out is applied only afterwards, at once.
    async fn advance(&mut self) -> Result<(), KrafkaError> {
        if self.session.is_none() {
            self.open().await?;
        }
        self.apply_changes();
        self.mend().await?;
        self.place().await?;
        self.read().await?;
        self.look_after().await?;
        self.report().await;
        Ok(())
    }

    /// Opening takes several answers of the brokers. It goes on by itself, so that it ends also for a caller that drops each
    /// of its calls early.
    async fn open(&mut self) -> Result<(), KrafkaError> {
        let opening = self.opening.get_or_insert_with(|| {
            let (settings, group, label) = (self.settings.clone(), self.group.clone(), self.label.clone());
            AbortOnDropHandle::new(tokio::spawn(async move { Session::open(&settings, &group, &label).await }))
        });
        let opened = opening.await;
        self.opening = None;
        let session = opened.map_err(|ended| KrafkaError::illegal_state(ended.to_string()))??;
        for topic in session.missing_topics() {
            self.monitor.trouble(format!("topic `{topic}` does not exist; it is read once it does"));
        }
        self.session = Some(session);
        self.connected();
        Ok(())
    }

    fn apply_changes(&mut self) {
        let Some(session) = &self.session else { return };
        for change in session.changes() {
            self.reported_at = None;
            match change {
                Change::Assigned(keys) => keys.into_iter().for_each(|key| self.pending.assigned(key)),
                Change::Gone(keys) => keys.iter().for_each(|key| {
                    self.pending.revoked(key);
                    session.forget_commit(key);
                }),
            }
        }
    }

    /// Goes on behind offsets that the broker deleted while they were still to be read.
    async fn mend(&mut self) -> Result<(), KrafkaError> {
        let Some(session) = &self.session else { return Ok(()) };
        while let Some(key) = self.out_of_range.last() {
            if let Some(Standing::Placed { next, .. }) = self.pending.standing(key) {
                let (earliest, end) = session.offsets(&key.0, key.1).await?;
                match first_offset(Some(next), earliest, end, self.settings.start) {
                    First::At(offset) => session.read_from(key, offset).await?,
                    First::Behind(gap_end) => {
                        let gap = gap(key, next, gap_end);
                        session.read_from(key, gap_end).await?;
                        self.monitor.trouble(gap.to_string());
                        self.pending.gap(gap);
                        self.waiting_since.get_or_insert_with(Instant::now);
                    }
                    First::Beyond => {
                        session.hold(key).await;
                        self.pending.held(key, Instant::now() + HOLD);
                        self.monitor.trouble(beyond(key, next, end));
                    }
                }
            }
            self.out_of_range.pop();
        }
        Ok(())
    }

    /// Finds the first offset of each partition that was assigned, and reads it from there.
    async fn place(&mut self) -> Result<(), KrafkaError> {
        let Some(session) = &self.session else { return Ok(()) };
        for key in self.pending.unplaced(Instant::now()) {
            let (topic, partition) = (&key.0, key.1);
            // It may have been read before; what came now could not be told from what comes twice.
            session.hold(&key).await;
            let ledger = match (self.position)(topic.to_string(), partition).await {
                Ok(ledger) => ledger,
                Err(error) => {
                    self.pending.held(&key, Instant::now() + HOLD);
                    let place = format!("topic `{topic}`, partition {partition}");
                    self.monitor.trouble(format!("{place}: the table's own position cannot be read: {error}"));
                    continue;
                }
            };
            let (earliest, end) = match session.offsets(topic, partition).await {
                Ok(offsets) => offsets,
                // The partition alone has no leader now; the others go on.
                Err(error @ KrafkaError::Broker { code: ErrorCode::LeaderNotAvailable, .. }) => {
                    self.pending.held(&key, Instant::now() + HOLD);
                    self.monitor.trouble(told(&error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let first = first_offset(ledger, earliest, end, self.settings.start);
            let offset = match first {
                First::At(offset) | First::Behind(offset) => offset,
                First::Beyond => {
                    self.pending.held(&key, Instant::now() + HOLD);
                    self.monitor.trouble(beyond(&key, ledger.unwrap_or_default(), end));
                    continue;
                }
            };
            session.read_from(&key, offset).await?;
            self.pending.placed(&key, ledger, offset);
            match (ledger, first) {
                (Some(ledger), First::Behind(_)) => {
                    let gap = gap(&key, ledger, offset);
                    self.monitor.trouble(gap.to_string());
                    self.pending.gap(gap);
                }
                (None, _) if self.settings.start == Start::Latest => self.pending.remember_start(&key, offset),
                _ => continue,
            }
            self.waiting_since.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// Waits for records, no longer than the oldest undelivered one may.
    async fn read(&mut self) -> Result<(), KrafkaError> {
        let Some(session) = &self.session else { return Ok(()) };
        let left = self.waiting_since.map(|since| self.settings.max_wait.saturating_sub(since.elapsed()));
        let polled = session.poll(left.unwrap_or(POLL_TIMEOUT).min(POLL_TIMEOUT)).await;
        // A rebalance is applied before the records that were read after it.
        self.apply_changes();
        match polled {
            Ok(records) => self.absorb(records).await,
            Err(KrafkaError::NoOffset { partitions }) => {
                let keys = partitions.into_iter().map(|(topic, partition)| (Arc::from(topic), partition));
                self.out_of_range = keys.collect();
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn absorb(&mut self, records: Vec<ConsumerRecord>) {
        let Some(session) = &self.session else { return };
        if !records.is_empty() {
            self.monitor.record_came();
            self.retry.succeeded();
            self.waiting_since.get_or_insert_with(Instant::now);
        }
        let hold_until = Instant::now() + HOLD;
        for record in records {
            let (key, offset) = ((Arc::clone(&record.topic), record.partition), record.offset);
            if let Pushed::Rewound { expected } = self.pending.push(own(record), hold_until) {
                session.hold(&key).await;
                self.monitor.trouble(beyond(&key, expected, offset));
            }
        }
    }

    /// Notices an outage, its end, and topics that have grown.
    async fn look_after(&mut self) -> Result<(), KrafkaError> {
        let Some(session) = &mut self.session else { return Ok(()) };
        // A client that cannot fetch goes on returning nothing, so silence alone says nothing.
        if session.fetch_failed() || !self.is_connected {
            session.probe().await?;
            if !self.is_connected {
                // The client's own pauses have grown during the outage; placing a partition anew ends them.
                let placed = self.pending.partitions().filter_map(|(key, standing)| match standing {
                    Standing::Placed { next, .. } => Some((key.clone(), *next)),
                    Standing::Unplaced { .. } => None,
                });
                let placed: Vec<(PartitionKey, i64)> = placed.collect();
                for (key, next) in placed {
                    session.read_from(&key, next).await?;
                }
            }
        }
        if session.topics_changed().await? {
            self.disconnected();
        } else {
            self.connected();
        }
        Ok(())
    }

    async fn report(&mut self) {
        let Some(session) = &self.session else { return };
        if self.reported_at.is_some_and(|at| at.elapsed() < REPORT_INTERVAL) {
            return;
        }
        let high_watermarks = session.high_watermarks().await;
        let partition = |(key, standing): (&PartitionKey, &Standing)| {
            let position = match standing {
                Standing::Placed { delivered, next } => Some(delivered.unwrap_or(*next)),
                Standing::Unplaced { .. } => None,
            };
            let high_watermark = high_watermarks.get(key).copied();
            let lag = high_watermark.zip(position).map(|(end, position)| u64::try_from(end - position).unwrap_or(0));
            PartitionStatus { topic: key.0.to_string(), partition: key.1, position, high_watermark, lag }
        };
        self.monitor.partitions(self.pending.partitions().map(partition).collect());
        self.reported_at = Some(Instant::now());
    }

    fn connected(&mut self) {
        self.is_connected = true;
        self.retry.succeeded();
        self.monitor.connected(true);
    }

    /// Leaves the group (in the background) and forgets what was read and not delivered: it is read again.
    fn disconnected(&mut self) {
        self.session = None;
        self.pending.clear();
        self.out_of_range.clear();
        self.waiting_since = None;
        self.is_connected = false;
        self.monitor.connected(false);
        self.monitor.partitions(Vec::new());
    }

    fn failed(&mut self, error: &KrafkaError) {
        self.monitor.trouble(told(error));
        self.retry.failed();
        if error.is_fatal() {
            self.disconnected();
        } else if error.is_retriable() {
            self.is_connected = false;
            self.monitor.connected(false);
        }
    }

    fn error(&self, doing: &'static str, source: KrafkaError) -> ConnectError {
        ConnectError::Broker { feed: self.label.clone(), doing, source: Box::new(source) }
    }
}

/// The growing pause between attempts.
#[derive(Default)]
struct Retry {
    pause: Option<Duration>,
    until: Option<Instant>,
}

impl Retry {
    fn failed(&mut self) {
        let (first, longest) = RETRY_PAUSE;
        let pause = self.pause.map_or(first, |pause| (pause * 2).min(longest));
        self.pause = Some(pause);
        self.until = Some(Instant::now() + pause);
    }

    fn succeeded(&mut self) {
        *self = Self::default();
    }

    fn is_pending(&self) -> bool {
        self.until.is_some()
    }

    /// Waits out the pause, also one that another call has begun.
    async fn pause(&mut self) {
        if let Some(until) = self.until {
            tokio::time::sleep_until(until).await;
            self.until = None;
        }
    }
}

/// Where the reading of a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    At(i64),
    /// There, and what lies between the ledger and it is lost.
    Behind(i64),
    /// The ledger stands beyond the end of the log, which is therefore not the log it was taken from.
    Beyond,
}

fn first_offset(ledger: Option<i64>, earliest: i64, end: i64, start: Start) -> First {
    match (ledger, start) {
        (None, Start::Earliest) => First::At(earliest),
        (None, Start::Latest) => First::At(end),
        (Some(next), _) if next < earliest => First::Behind(earliest),
        (Some(next), _) if next > end => First::Beyond,
        (Some(next), _) => First::At(next),
    }
}

fn gap((topic, partition): &PartitionKey, from: i64, to: i64) -> OffsetGap {
    OffsetGap { topic: Arc::clone(topic), partition: *partition, from, to }
}

fn beyond((topic, partition): &PartitionKey, next: i64, end: i64) -> String {
    format!(
        "topic `{topic}`, partition {partition}: offset {next} is to be read next, but the broker is only at {end}; it lost \
         records, or the topic was deleted and created anew. The partition is not read until the broker has passed {next}; a \
         topic that was created anew can be read at once by a source table of another name"
    )
}

/// An error with its causes, each told once.
fn told(error: &KrafkaError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = error.source();
    }
    text
}

fn own(record: ConsumerRecord) -> KafkaRecord {
    KafkaRecord {
        topic: record.topic,
        partition: record.partition,
        offset: record.offset,
        timestamp_ms: record.timestamp,
        key: record.key,
        value: record.value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_begins_where_the_ledger_ends_if_the_broker_still_has_it() {
        let cases = [
            (None, Start::Earliest, First::At(3)),
            (None, Start::Latest, First::At(9)),
            (Some(3), Start::Latest, First::At(3)),
            (Some(9), Start::Earliest, First::At(9)),
            (Some(2), Start::Latest, First::Behind(3)),
            (Some(10), Start::Earliest, First::Beyond),
        ];
        for (ledger, start, expected) in cases {
            assert_eq!(first_offset(ledger, 3, 9, start), expected, "{ledger:?} {start:?}");
        }
    }
}
