//! What a feed delivers.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use crate::source::Fit;

/// One record as the broker keeps it. Complete in itself, so that one that cannot be decoded can be kept with its place.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaRecord {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// Its place in the partition, from 0.
    pub offset: i64,
    /// When it was produced (or appended, as the topic decides), in milliseconds since 1970 UTC.
    pub timestamp_ms: i64,
    /// Its key, as sent.
    pub key: Option<Bytes>,
    /// Its value, as sent; `None` is a tombstone.
    pub value: Option<Bytes>,
}

impl KafkaRecord {
    /// Bytes of key and value.
    pub fn size(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len) + self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// Shows the place and the sizes; key and value hold what may be a patient's.
impl fmt::Debug for KafkaRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaRecord")
            .field("topic", &self.topic)
            .field("partition", &self.partition)
            .field("offset", &self.offset)
            .field("timestamp_ms", &self.timestamp_ms)
            .field("key_bytes", &self.key.as_ref().map(Bytes::len))
            .field("value_bytes", &self.value.as_ref().map(Bytes::len))
            .finish()
    }
}

/// Offsets that the broker no longer had when they were to be read: its retention had passed. They are lost to every reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetGap {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The first offset that is missing: the one that was to be read next.
    pub from: i64,
    /// The earliest offset the broker still has; reading goes on there.
    pub to: i64,
}

impl fmt::Display for OffsetGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, from, to } = self;
        write!(
            f,
            "topic `{topic}`, partition {partition}: offset {from} was to be read next and the earliest one the broker still \
             has is {to}; the records between them were deleted by the topic's retention before they were read"
        )
    }
}

/// How far a partition has been taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KafkaPosition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The next offset to read.
    pub next: i64,
}

/// The part of a batch that one partition has in it. It moves the partition's position from `from` to `next`; it may hold no
/// record at all (a `start: latest` that is to be remembered, or a gap).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionBatch {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The position this part follows on, as the caller's ledger must hold it for the part to be committed; `None` where the
    /// ledger holds nothing yet.
    pub from: Option<i64>,
    /// The position after this part: the next offset to read.
    pub next: i64,
    /// The records, in offset order. Offsets may have holes where a topic is compacted or transactional.
    pub records: Vec<KafkaRecord>,
    /// Offsets between `from` and `next` that the broker has deleted unread.
    pub gaps: Vec<OffsetGap>,
}

impl PartitionBatch {
    /// Compares the part with the position the caller's ledger holds at the moment of the commit, and drops the records that
    /// the ledger already counts. Whoever keeps to the answer counts no record twice and loses none, whichever processes
    /// deliver the same records and in whatever order they commit.
    pub fn fit(&mut self, ledger: Option<i64>) -> Fit {
        match (self.from, ledger) {
            (from, ledger) if from == ledger => Fit::Follows,
            (_, Some(ledger)) if ledger >= self.next => Fit::Known,
            (Some(from), Some(ledger)) if ledger > from => {
                self.records.retain(|record| record.offset >= ledger);
                self.gaps.retain(|gap| gap.to > ledger);
                self.from = Some(ledger);
                Fit::Follows
            }
            _ => Fit::Ahead,
        }
    }
}

/// Records of one or more partitions, each partition once, by topic and number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaBatch {
    /// The parts.
    pub partitions: Vec<PartitionBatch>,
}

impl KafkaBatch {
    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.partitions.iter().map(|part| part.records.len()).sum()
    }

    /// Whether it holds no record. Its positions may have moved all the same.
    pub fn is_empty(&self) -> bool {
        self.partitions.iter().all(|part| part.records.is_empty())
    }

    /// Every record, partition by partition, each in offset order.
    pub fn records(&self) -> impl Iterator<Item = &KafkaRecord> {
        self.partitions.iter().flat_map(|part| &part.records)
    }

    /// Where each partition stands once the batch is committed; what [`KafkaFeed::commit`](super::KafkaFeed::commit) takes.
    pub fn positions(&self) -> Vec<KafkaPosition> {
        let position = |part: &PartitionBatch| KafkaPosition {
            topic: Arc::clone(&part.topic),
            partition: part.partition,
            next: part.next,
        };
        self.partitions.iter().map(position).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_fits_what_it_follows_on() {
        let cases = [
            (Some(4), Some(4), Fit::Follows, vec![4, 5, 7]),
            (None, None, Fit::Follows, vec![4, 5, 7]),
            (Some(4), Some(5), Fit::Follows, vec![5, 7]),
            (Some(4), Some(6), Fit::Follows, vec![7]),
            (Some(4), Some(8), Fit::Known, vec![4, 5, 7]),
            (None, Some(9), Fit::Known, vec![4, 5, 7]),
            (Some(4), Some(3), Fit::Ahead, vec![4, 5, 7]),
            (Some(4), None, Fit::Ahead, vec![4, 5, 7]),
            (None, Some(5), Fit::Ahead, vec![4, 5, 7]),
        ];
        for (from, ledger, expected, left) in cases {
            let topic: Arc<str> = Arc::from("adt");
            let record = |offset| KafkaRecord {
                topic: Arc::clone(&topic),
                partition: 0,
                offset,
                timestamp_ms: 0,
                key: None,
                value: None,
            };
            let records = [4, 5, 7].map(record).to_vec();
            let mut part =
                PartitionBatch { topic: Arc::clone(&topic), partition: 0, from, next: 8, records, gaps: Vec::new() };
            assert_eq!(part.fit(ledger), expected, "{from:?} {ledger:?}");
            assert_eq!(
                part.records.iter().map(|record| record.offset).collect::<Vec<_>>(),
                left,
                "{from:?} {ledger:?}"
            );
        }
    }
}
