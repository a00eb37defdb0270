//! The `kafka` block of a source table as a source: a log whose parts are partitions.

use std::{path::PathBuf, sync::Arc};

use super::{
    batch::{KafkaBatch, KafkaPosition, KafkaRecord, PartitionBatch},
    feed::KafkaFeed,
    rows,
    settings::KafkaSettings,
    status::KafkaMonitor,
};
use crate::{
    ConnectError, FileTable,
    source::{
        Answer, Fields, Fit, Follow, Follower, Kind, Log, LogState, Monitor, Part, RejectedRecord, Rows, Source,
        Stretch, Stretches, Way,
    },
};

pub(crate) const KIND: Kind = Kind { key: "kafka", read };

fn read(fields: &mut Fields<'_>) -> Option<Arc<dyn Source>> {
    Some(Arc::new(fields.block(KIND.key, KafkaSettings::from_map)?))
}

impl Source for KafkaSettings {
    fn kind(&self) -> &'static str {
        KIND.key
    }

    fn way(&self) -> Way<'_> {
        Way::Log(self)
    }
}

impl Log for KafkaSettings {
    fn follow(&self, follower: Follower) -> Box<dyn Follow> {
        let Follower { label, folder, position } = follower;
        let ca_file: Option<PathBuf> = self.ca_file.as_ref().map(|file| folder.join(file));
        let settings = Self { ca_file, ..self.clone() };
        Box::new(KafkaFeed::new(settings, &label, move |topic, partition| position(part(&topic, partition))))
    }
}

/// A partition as a part of the log. Brokers let neither `:` nor `/` into the name of a topic.
fn part(topic: &str, partition: i32) -> Part {
    Part { kind: KIND.key, name: format!("{topic}:{partition}"), file: format!("{topic}/{partition}") }
}

/// The partition that a part is.
fn partition(part: &Part) -> Option<(&str, i32)> {
    let (topic, partition) = part.name.rsplit_once(':')?;
    Some((topic, partition.parse().ok()?))
}

impl KafkaBatch {
    /// The batch as stretches of a log: one of each partition.
    pub fn into_stretches(self) -> Stretches {
        self.partitions.into_iter().map(|part| Box::new(part) as Box<dyn Stretch>).collect()
    }
}

impl Follow for KafkaFeed {
    fn read(&mut self) -> Answer<'_, Result<Stretches, ConnectError>> {
        Box::pin(async move { self.next().await.map(KafkaBatch::into_stretches) })
    }

    fn ask_again(&mut self, part: &Part) {
        if let Some((topic, partition)) = partition(part) {
            Self::ask_again(self, topic, partition);
        }
    }

    fn taken(&self, positions: &[(Part, i64)]) {
        let position = |(part, next): &(Part, i64)| {
            let (topic, partition) = partition(part)?;
            Some(KafkaPosition { topic: Arc::from(topic), partition, next: *next })
        };
        let positions: Vec<KafkaPosition> = positions.iter().filter_map(position).collect();
        self.commit(&positions);
    }

    fn monitor(&self) -> Box<dyn Monitor> {
        Box::new(Self::monitor(self))
    }

    fn close(self: Box<Self>) -> Answer<'static, Result<(), ConnectError>> {
        Box::pin(Self::close(*self))
    }
}

impl Monitor for KafkaMonitor {
    fn state(&self) -> LogState {
        let status = self.status();
        LogState { lag: status.lag(), details: serde_json::json!(status) }
    }
}

impl Stretch for PartitionBatch {
    fn part(&self) -> Part {
        part(&self.topic, self.partition)
    }

    fn end(&self) -> i64 {
        self.next
    }

    fn fit(&mut self, ledger: Option<i64>) -> Fit {
        Self::fit(self, ledger)
    }

    fn split(&mut self) -> Option<Box<dyn Stretch>> {
        if self.records.len() < 2 {
            return None;
        }
        let records: Vec<KafkaRecord> = self.records.split_off(self.records.len() / 2);
        let border = records.first().map_or(self.next, |record| record.offset);
        let (before, gaps) = std::mem::take(&mut self.gaps).into_iter().partition(|gap| gap.from < border);
        let behind = Self {
            topic: Arc::clone(&self.topic),
            partition: self.partition,
            from: Some(border),
            next: self.next,
            records,
            gaps,
        };
        (self.next, self.gaps) = (border, before);
        Some(Box::new(behind))
    }

    fn rows(&self, table: &FileTable, columns: &[String]) -> Vec<Rows> {
        rows::rows(table, columns, self)
    }

    fn lost(&self) -> Vec<RejectedRecord> {
        self.gaps.iter().map(rows::lost).collect()
    }

    fn rejected(&self, reason: &str, message: &str) -> Vec<RejectedRecord> {
        self.records.iter().map(|record| rows::rejected(record, reason, message)).collect()
    }

    fn copy(&self) -> Box<dyn Stretch> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::batch::OffsetGap, *};

    #[test]
    fn what_a_partition_is_called_in_ledgers_and_rows_stays() {
        let named = part("adt", 3);
        assert_eq!(named.ledger_id("hl7.messages"), "kafka:hl7.messages:adt:3");
        assert_eq!((named.file.as_str(), partition(&named)), ("adt/3", Some(("adt", 3))));
    }

    /// Offsets with holes, and two gaps.
    fn stretch() -> PartitionBatch {
        let topic: Arc<str> = "adt".into();
        let record = |offset| KafkaRecord {
            topic: Arc::clone(&topic),
            partition: 3,
            offset,
            timestamp_ms: 0,
            key: None,
            value: Some(format!("{{\"id\":{offset}}}").into_bytes().into()),
        };
        let gap = |from, to| OffsetGap { topic: Arc::clone(&topic), partition: 3, from, to };
        let records = [4, 6, 9, 12].map(record).to_vec();
        let gaps = vec![gap(2, 4), gap(10, 12)];
        PartitionBatch { topic: Arc::clone(&topic), partition: 3, from: Some(2), next: 15, records, gaps }
    }

    #[test]
    fn a_stretch_goes_on_from_every_position_and_nothing_is_lost_or_doubled() {
        let table = FileTable::from_json(&serde_json::Value::Null, &serde_json::json!({"http": true})).unwrap();
        let positions = |stretch: &dyn Stretch| -> Vec<i64> {
            stretch.rows(&table, &[]).into_iter().flat_map(|rows| rows.positions).collect()
        };
        let whole: Box<dyn Stretch> = Box::new(stretch());
        assert_eq!(positions(&*whole), [4, 6, 9, 12]);
        for at in 2..=15 {
            let mut rest = whole.clone();
            match rest.fit(Some(at)) {
                Fit::Known => assert_eq!(at, rest.end()),
                Fit::Ahead => panic!("{at}: nothing is missing before it"),
                Fit::Follows => {
                    let wanted: Vec<i64> = [4, 6, 9, 12].into_iter().filter(|offset| *offset >= at).collect();
                    assert_eq!(positions(&*rest), wanted, "{at}");
                }
            }
        }
        assert_eq!(whole.clone().fit(Some(1)), Fit::Ahead);
        let mut pieces = vec![whole];
        let mut settled: Vec<Box<dyn Stretch>> = Vec::new();
        while let Some(mut piece) = pieces.pop() {
            match piece.split() {
                Some(behind) => pieces.extend([behind, piece]),
                None => settled.push(piece),
            }
        }
        let mut ledger = Some(2);
        let (mut read, mut lost) = (Vec::new(), Vec::new());
        for mut piece in settled {
            assert_eq!(piece.fit(ledger), Fit::Follows);
            read.extend(positions(&*piece));
            lost.extend(piece.lost().into_iter().map(|gap| gap.position));
            ledger = Some(piece.end());
        }
        assert_eq!((read, lost, ledger), (vec![4, 6, 9, 12], vec![2, 10], Some(15)));
    }
}
