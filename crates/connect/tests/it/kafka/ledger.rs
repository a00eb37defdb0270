//! A table in memory that keeps to the rule of the feed: rows and positions change together, or not at all.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use wardlake_connect::kafka::{Fit, KafkaBatch, KafkaFeed, KafkaPosition};

use super::PATIENCE;

#[derive(Clone, Default)]
pub(super) struct Ledger {
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    positions: BTreeMap<(String, i32), i64>,
    /// Per partition, the offset and value of each row.
    rows: BTreeMap<(String, i32), Vec<(i64, String)>>,
}

impl Ledger {
    /// A table that has taken everything of partition 0 up to `next`.
    pub(super) fn at(topic: &str, next: i64) -> Self {
        let ledger = Self::default();
        ledger.table.lock().unwrap().positions.insert((topic.to_owned(), 0), next);
        ledger
    }

    pub(super) fn position(&self, topic: &str, partition: i32) -> Option<i64> {
        self.table.lock().unwrap().positions.get(&(topic.to_owned(), partition)).copied()
    }

    /// Commits what fits; returns the parts that do not because something before them is missing.
    pub(super) fn commit(&self, batch: KafkaBatch) -> Vec<KafkaPosition> {
        let positions = batch.positions();
        let mut ahead = Vec::new();
        let mut table = self.table.lock().unwrap();
        for (mut part, position) in batch.partitions.into_iter().zip(positions) {
            let key = (part.topic.to_string(), part.partition);
            match part.fit(table.positions.get(&key).copied()) {
                Fit::Known => {}
                Fit::Ahead => ahead.push(position),
                Fit::Follows => {
                    let row = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let rows = part.records.iter().map(|record| (record.offset, row(record.value.as_deref().unwrap())));
                    table.rows.entry(key.clone()).or_default().extend(rows);
                    table.positions.insert(key, part.next);
                }
            }
        }
        ahead
    }

    /// Reads and commits until the table has `rows` rows.
    pub(super) async fn fill(&self, feed: &mut KafkaFeed, rows: usize) {
        let filled = tokio::time::timeout(PATIENCE, async {
            while self.len() < rows {
                let batch = feed.next().await.unwrap();
                self.take(feed, batch);
            }
        });
        filled.await.unwrap_or_else(|_| panic!("{} of {rows} rows; {:?}", self.len(), feed.status()));
    }

    /// Commits a batch as a loader would.
    pub(super) fn take(&self, feed: &mut KafkaFeed, batch: KafkaBatch) {
        let positions = batch.positions();
        for ahead in self.commit(batch) {
            feed.ask_again(&ahead.topic, ahead.partition);
        }
        feed.commit(&positions);
    }

    pub(super) fn len(&self) -> usize {
        self.table.lock().unwrap().rows.values().map(Vec::len).sum()
    }

    /// The values of a partition in the order in which they were committed.
    pub(super) fn values(&self, topic: &str, partition: i32) -> Vec<String> {
        let table = self.table.lock().unwrap();
        let rows = table.rows.get(&(topic.to_owned(), partition)).map(Vec::as_slice).unwrap_or_default();
        assert!(rows.is_sorted_by(|before, after| before.0 < after.0), "{topic} {partition}: {rows:?}");
        rows.iter().map(|(_, value)| value.clone()).collect()
    }
}
