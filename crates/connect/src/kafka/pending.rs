//! What was read and not yet delivered, and where each assigned partition stands. Pure: no broker, no clock of its own.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use tokio::time::Instant;

use super::batch::{KafkaBatch, KafkaRecord, OffsetGap, PartitionBatch};

/// A partition's name.
pub(super) type PartitionKey = (Arc<str>, i32);

/// How an assigned partition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its position has to be asked for, not before that instant.
    Unplaced { not_before: Option<Instant> },
    /// It is read. `delivered` is what the caller's ledger holds once it has committed what it was given; `next` is the
    /// offset expected of the next record.
    Placed { delivered: Option<i64>, next: i64 },
}

/// An entry of the queue: something a partition's next batch will hold.
#[derive(Debug)]
enum Entry {
    Record(KafkaRecord),
    Gap(OffsetGap),
    /// A position that is to be remembered although nothing was read: where `start: latest` began.
    Start {
        key: PartitionKey,
        next: i64,
    },
}

impl Entry {
    fn key(&self) -> PartitionKey {
        match self {
            Self::Record(record) => (Arc::clone(&record.topic), record.partition),
            Self::Gap(gap) => (Arc::clone(&gap.topic), gap.partition),
            Self::Start { key, .. } => key.clone(),
        }
    }

    fn next(&self) -> i64 {
        match self {
            Self::Record(record) => record.offset + 1,
            Self::Gap(gap) => gap.to,
            Self::Start { next, .. } => *next,
        }
    }
}

/// The queue, in the order of arrival, and the partitions.
#[derive(Debug, Default)]
pub(super) struct Pending {
    partitions: BTreeMap<PartitionKey, Standing>,
    queue: VecDeque<Entry>,
    records: usize,
    bytes: usize,
}

/// What became of a record that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It waits for delivery.
    Queued,
    /// Its partition is not, or not yet, read by this feed.
    Foreign,
    /// It stands before the position of its partition, which is held: the broker's log went backwards.
    Rewound {
        /// The offset that was expected.
        expected: i64,
    },
}

impl Pending {
    /// A partition came. Whatever was known of it belongs to an earlier assignment.
    pub(super) fn assigned(&mut self, key: PartitionKey) {
        self.revoked(&key);
        self.partitions.insert(key, Standing::Unplaced { not_before: None });
    }

    /// A partition went. What was not delivered is left to its next owner.
    pub(super) fn revoked(&mut self, key: &PartitionKey) {
        if self.partitions.remove(key).is_some() {
            self.forget(key);
        }
    }

    /// Every partition went.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// A partition is read from `next` on, and the caller's ledger holds `ledger`.
    pub(super) fn placed(&mut self, key: &PartitionKey, ledger: Option<i64>, next: i64) {
        if let Some(standing) = self.partitions.get_mut(key) {
            *standing = Standing::Placed { delivered: ledger, next };
        }
    }

    /// The position of a partition is to be asked for again, at once.
    pub(super) fn ask_again(&mut self, key: &PartitionKey) {
        self.unplace(key, None);
    }

    /// The position of a partition is to be asked for again, later.
    pub(super) fn held(&mut self, key: &PartitionKey, until: Instant) {
        self.unplace(key, Some(until));
    }

    /// The position of a partition where nothing was read yet is to be delivered as it is.
    pub(super) fn remember_start(&mut self, key: &PartitionKey, next: i64) {
        self.queue.push_back(Entry::Start { key: key.clone(), next });
    }

    /// Offsets of a partition are lost; it is read from the gap's end on.
    pub(super) fn gap(&mut self, gap: OffsetGap) {
        let key = (Arc::clone(&gap.topic), gap.partition);
        if let Some(Standing::Placed { next, .. }) = self.partitions.get_mut(&key) {
            *next = gap.to;
            self.queue.push_back(Entry::Gap(gap));
        }
    }

    pub(super) fn push(&mut self, record: KafkaRecord, hold_until: Instant) -> Pushed {
        let key = (Arc::clone(&record.topic), record.partition);
        match self.partitions.get_mut(&key) {
            None | Some(Standing::Unplaced { .. }) => Pushed::Foreign,
            Some(Standing::Placed { next, .. }) if record.offset < *next => {
                let expected = *next;
                self.held(&key, hold_until);
                Pushed::Rewound { expected }
            }
            Some(Standing::Placed { next, .. }) => {
                *next = record.offset + 1;
                self.records += 1;
                self.bytes += record.size();
                self.queue.push_back(Entry::Record(record));
                Pushed::Queued
            }
        }
    }

    /// How a partition stands; `None` where it is not assigned.
    pub(super) fn standing(&self, key: &PartitionKey) -> Option<Standing> {
        self.partitions.get(key).copied()
    }

    /// Every assigned partition.
    pub(super) fn partitions(&self) -> impl Iterator<Item = (&PartitionKey, &Standing)> {
        self.partitions.iter()
    }

    /// The partitions whose position has to be asked for now.
    pub(super) fn unplaced(&self, now: Instant) -> Vec<PartitionKey> {
        let is_due = |standing: &Standing| match standing {
            Standing::Unplaced { not_before } => not_before.is_none_or(|at| at <= now),
            Standing::Placed { .. } => false,
        };
        self.partitions.iter().filter(|(_, standing)| is_due(standing)).map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether a batch of that size is full.
    pub(super) fn fills(&self, max_records: usize, max_bytes: usize) -> bool {
        self.records >= max_records || self.bytes >= max_bytes
    }

    /// Takes the oldest entries, at most `max_records` records and, beyond the first record, at most `max_bytes` bytes.
    pub(super) fn take(&mut self, max_records: usize, max_bytes: usize) -> KafkaBatch {
        let mut parts: BTreeMap<PartitionKey, PartitionBatch> = BTreeMap::new();
        let (mut records, mut bytes) = (0, 0);
        while let Some(entry) = self.queue.front() {
            if let Entry::Record(record) = entry {
                if records > 0 && (records >= max_records || bytes + record.size() > max_bytes) {
                    break;
                }
                records += 1;
                bytes += record.size();
            }
            let Some(entry) = self.queue.pop_front() else { break };
            let key = entry.key();
            let Some(Standing::Placed { delivered, .. }) = self.partitions.get_mut(&key) else { continue };
            let part = parts.entry(key).or_insert_with_key(|(topic, partition)| PartitionBatch {
                topic: Arc::clone(topic),
                partition: *partition,
                from: *delivered,
                next: entry.next(),
                records: Vec::new(),
                gaps: Vec::new(),
            });
            part.next = entry.next();
            *delivered = Some(part.next);
            match entry {
                Entry::Record(record) => part.records.push(record),
                Entry::Gap(gap) => part.gaps.push(gap),
                Entry::Start { .. } => {}
            }
        }
        self.records -= records;
        self.bytes -= bytes;
        KafkaBatch { partitions: parts.into_values().collect() }
    }

    fn unplace(&mut self, key: &PartitionKey, not_before: Option<Instant>) {
        if let Some(standing) = self.partitions.get_mut(key) {
            *standing = Standing::Unplaced { not_before };
            self.forget(key);
        }
    }

    /// Drops what the queue holds of a partition.
    fn forget(&mut self, key: &PartitionKey) {
        let (mut records, mut bytes) = (0, 0);
        self.queue.retain(|entry| {
            let goes = entry.key() == *key;
            if let (true, Entry::Record(record)) = (goes, entry) {
                records += 1;
                bytes += record.size();
            }
            !goes
        });
        self.records -= records;
        self.bytes -= bytes;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn key(partition: i32) -> PartitionKey {
        (Arc::from("adt"), partition)
    }

    fn record(partition: i32, offset: i64) -> KafkaRecord {
        KafkaRecord {
            topic: Arc::from("adt"),
            partition,
            offset,
            timestamp_ms: 0,
            key: None,
            value: Some(Bytes::from_static(b"four")),
        }
    }

    fn reading(partition: i32, ledger: Option<i64>, next: i64) -> Pending {
        let mut pending = Pending::default();
        pending.assigned(key(partition));
        pending.placed(&key(partition), ledger, next);
        pending
    }

    /// `partition: from>next [offsets]` of each part.
    fn shown(batch: &KafkaBatch) -> Vec<String> {
        let part = |part: &PartitionBatch| {
            let offsets: Vec<i64> = part.records.iter().map(|record| record.offset).collect();
            format!("{}: {:?}>{} {offsets:?}", part.partition, part.from, part.next)
        };
        batch.partitions.iter().map(part).collect()
    }

    #[test]
    fn each_part_follows_on_the_one_before() {
        let now = Instant::now();
        let mut pending = reading(0, Some(5), 5);
        pending.assigned(key(1));
        pending.placed(&key(1), None, 0);
        for (partition, offset) in [(0, 5), (1, 0), (0, 6), (0, 9), (1, 1)] {
            assert_eq!(pending.push(record(partition, offset), now), Pushed::Queued);
        }
        assert!(pending.fills(5, 1_000) && pending.fills(6, 20) && !pending.fills(6, 21));
        assert_eq!(shown(&pending.take(3, 1_000)), ["0: Some(5)>7 [5, 6]", "1: None>1 [0]"]);
        assert_eq!(shown(&pending.take(3, 1_000)), ["0: Some(7)>10 [9]", "1: Some(1)>2 [1]"]);
        assert!(pending.is_empty() && !pending.fills(1, 1));
    }

    #[test]
    fn a_record_larger_than_a_batch_is_a_batch() {
        let mut pending = reading(0, None, 0);
        for offset in 0..2 {
            pending.push(record(0, offset), Instant::now());
        }
        assert_eq!(shown(&pending.take(10, 1)), ["0: None>1 [0]"]);
        assert_eq!(shown(&pending.take(10, 1)), ["0: Some(1)>2 [1]"]);
    }

    #[test]
    fn what_was_not_delivered_goes_with_its_partition() {
        let now = Instant::now();
        let mut pending = reading(0, Some(1), 1);
        pending.push(record(0, 1), now);
        pending.assigned(key(0));
        assert!(pending.is_empty() && !pending.fills(1, 1));
        assert_eq!(pending.push(record(0, 2), now), Pushed::Foreign);
        assert_eq!(pending.unplaced(now), [key(0)]);
        pending.revoked(&key(0));
        assert_eq!(pending.standing(&key(0)), None);
    }

    #[test]
    fn a_gap_and_a_start_move_the_position_without_a_record() {
        let mut pending = reading(0, Some(3), 3);
        pending.gap(OffsetGap { topic: Arc::from("adt"), partition: 0, from: 3, to: 8 });
        pending.push(record(0, 8), Instant::now());
        let batch = pending.take(10, 1_000);
        assert_eq!(shown(&batch), ["0: Some(3)>9 [8]"]);
        assert_eq!(batch.partitions[0].gaps[0].to, 8);

        let mut pending = reading(1, None, 40);
        pending.remember_start(&key(1), 40);
        let batch = pending.take(10, 1_000);
        assert_eq!((shown(&batch), batch.is_empty()), (vec!["1: None>40 []".to_owned()], true));
    }

    #[test]
    fn a_log_that_goes_backwards_holds_its_partition() {
        let now = Instant::now();
        let mut pending = reading(0, Some(10), 10);
        assert_eq!(pending.push(record(0, 4), now), Pushed::Rewound { expected: 10 });
        assert_eq!(pending.push(record(0, 10), now), Pushed::Foreign);
        assert_eq!(pending.standing(&key(0)), Some(Standing::Unplaced { not_before: Some(now) }));
    }
}
