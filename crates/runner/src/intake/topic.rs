//! From a topic to bronze. The broker keeps the records, so there is no journal: bronze's own ledger says how far each partition
//! was taken, in the commit that holds its rows.

use std::sync::Arc;

use chrono::Utc;
use wardlake_connect::{
    KafkaBatch,
    kafka::{Fit, KafkaPosition, KafkaRecord, PartitionBatch},
    source::FileFormat,
};
use wardlake_core::LedgerEntry;
use wardlake_storage::StorageError;

use super::{FeedOptions, Records, RejectedRecord, load, read};
use crate::{RunnerError, Workspace};

/// What became of a batch.
#[derive(Clone, Debug, Default)]
pub struct TopicLoad {
    /// Bronze's new version, if anything was new.
    pub version: Option<u64>,
    /// How far each partition is taken; for the broker's own record.
    pub positions: Vec<KafkaPosition>,
    /// Partitions whose records are to be asked for again: something between them and bronze is missing.
    pub again: Vec<(Arc<str>, i32)>,
    /// Rows loaded.
    pub rows: u64,
}

fn ledger_id(label: &str, topic: &str, partition: i32) -> String {
    format!("kafka:{label}:{topic}:{partition}")
}

/// The next offset of a partition that bronze wants; none if it has nothing of it.
pub async fn topic_position(
    workspace: &Workspace,
    options: &FeedOptions,
    topic: &str,
    partition: i32,
) -> Result<Option<i64>, RunnerError> {
    let Some(snapshot) = workspace.lake.snapshot(&options.name, None).await? else { return Ok(None) };
    Ok(snapshot.consumed(&ledger_id(&options.label, topic, partition)).await?)
}

/// Loads a batch: each partition's part if it follows on what bronze has, in one commit.
pub async fn load_topic(
    workspace: &Workspace,
    options: &FeedOptions,
    batch: &KafkaBatch,
) -> Result<TopicLoad, RunnerError> {
    loop {
        match try_load(workspace, options, batch.clone()).await {
            // Another process took some of it in between: look again at what is left.
            Err(RunnerError::Storage(StorageError::LedgerMoved { .. } | StorageError::PartlyApplied { .. })) => {}
            other => return other,
        }
    }
}

async fn try_load(workspace: &Workspace, options: &FeedOptions, batch: KafkaBatch) -> Result<TopicLoad, RunnerError> {
    let mut outcome = TopicLoad { positions: batch.positions(), ..TopicLoad::default() };
    let (mut ledger, mut requires, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for mut part in batch.partitions {
        let at = topic_position(workspace, options, &part.topic, part.partition).await?;
        match part.fit(at) {
            Fit::Known => continue,
            Fit::Ahead => {
                outcome
                    .positions
                    .retain(|position| (&position.topic, position.partition) != (&part.topic, part.partition));
                outcome.again.push((part.topic, part.partition));
                continue;
            }
            Fit::Follows => {}
        }
        let entry = LedgerEntry::new(ledger_id(&options.label, &part.topic, part.partition), part.next);
        requires.push((entry.app_id.clone(), at));
        let records = records(options, &part);
        let last = LedgerEntry::new(entry.app_id.clone(), part.next - 1);
        load::keep_rejected(workspace, options, &records.iter().collect::<Vec<_>>(), &last).await?;
        outcome.rows += records.iter().flat_map(|records| &records.chunks).map(|chunk| chunk.rows as u64).sum::<u64>();
        all.extend(records);
        ledger.push(entry);
    }
    if !ledger.is_empty() {
        let records: Vec<&Records> = all.iter().collect();
        outcome.version = Some(load::commit(workspace, options, &records, ledger, requires).await?);
    }
    Ok(outcome)
}

/// The rows of a part. Values of one line each are read together, others one by one; one that is no record of the table's format is
/// kept as it is.
fn records(options: &FeedOptions, part: &PartitionBatch) -> Vec<Records> {
    let file: Arc<str> = format!("{}/{}", part.topic, part.partition).into();
    let nothing = || Records {
        file: Arc::clone(&file),
        received_us: Utc::now().timestamp_micros(),
        chunks: Vec::new(),
        message: None,
        positions: Some(Vec::new()),
        first_position: 0,
        rejected: Vec::new(),
    };
    let has_lines =
        matches!(options.table.format.file_format, FileFormat::Auto | FileFormat::Json | FileFormat::Ndjson);
    let (lines, others): (Vec<&KafkaRecord>, Vec<&KafkaRecord>) =
        part.records.iter().partition(|record| has_lines && is_line(record));
    let mut found = vec![take(options, &lines, FileFormat::Ndjson, nothing())];
    for record in others {
        let format = if has_lines { FileFormat::Json } else { options.table.format.file_format };
        found.push(take(options, &[record], format, nothing()));
    }
    if let Some(first) = found.first_mut() {
        first.rejected.extend(part.gaps.iter().map(|gap| RejectedRecord {
            position: gap.from,
            reason: "kafka_offsets_gone".to_owned(),
            message: gap.to_string(),
            bytes: Vec::new(),
        }));
    }
    found
}

fn is_line(record: &KafkaRecord) -> bool {
    record.value.as_ref().is_some_and(|value| !value.is_empty() && !value.contains(&b'\n') && !value.contains(&b'\r'))
}

/// Reads the values of some records, one line each or one record alone.
fn take(options: &FeedOptions, records: &[&KafkaRecord], format: FileFormat, mut taken: Records) -> Records {
    let rejected = |record: &KafkaRecord, reason: &str, message: &str| RejectedRecord {
        position: record.offset,
        reason: reason.to_owned(),
        message: message.to_owned(),
        bytes: record.value.as_ref().map(|value| value.to_vec()).unwrap_or_default(),
    };
    let mut bytes =
        Vec::with_capacity(records.iter().filter_map(|record| record.value.as_ref()).map(|v| v.len() + 1).sum());
    for record in records {
        let Some(value) = record.value.as_ref().filter(|value| !value.is_empty()) else {
            taken.rejected.push(rejected(record, "kafka_no_value", "the record has no value"));
            return taken;
        };
        bytes.extend_from_slice(value);
        bytes.push(b'\n');
    }
    if records.is_empty() {
        return taken;
    }
    let is_single = records.len() == 1;
    let at = |line: i64| records.get(if is_single { 0 } else { usize::try_from(line - 1).unwrap_or(usize::MAX) });
    match read(&options.table, &bytes, Some(format)) {
        Ok(reading) => {
            let lines = reading.chunks.iter().flat_map(|chunk| chunk.positions.values().iter().copied());
            taken.positions = Some(lines.filter_map(|line| Some(at(line)?.offset)).collect());
            for bad in &reading.rejected {
                if let Some(record) = at(i64::try_from(bad.line).unwrap_or(i64::MAX)) {
                    taken.rejected.push(rejected(record, bad.reason.code(), bad.reason.message()));
                }
            }
            taken.chunks = reading.chunks;
        }
        // The format as a whole does not fit: each record is kept.
        Err(error) => {
            taken.rejected.extend(records.iter().map(|record| rejected(record, "unreadable", &error.to_string())))
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};
    use wardlake_connect::FileTable;
    use wardlake_core::TableName;
    use wardlake_engine::{EngineOptions, ReadState};
    use wardlake_project::{LoadOptions, Project};

    use super::*;
    use crate::EventSink;

    fn batch(first: i64, values: &[&str]) -> KafkaBatch {
        let topic: Arc<str> = "adt".into();
        let record = |(place, value): (usize, &&str)| KafkaRecord {
            topic: Arc::clone(&topic),
            partition: 0,
            offset: first + place as i64,
            timestamp_ms: 0,
            key: None,
            value: Some(value.as_bytes().to_vec().into()),
        };
        let records: Vec<KafkaRecord> = values.iter().enumerate().map(record).collect();
        let (from, next) = ((first > 0).then_some(first), first + records.len() as i64);
        let part = PartitionBatch { topic: Arc::clone(&topic), partition: 0, from, next, records, gaps: Vec::new() };
        KafkaBatch { partitions: vec![part] }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_record_is_a_row_or_rejected_once() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("dbt_project.yml"), "name: ward\nversion: '1.0'\n").unwrap();
        let project = Arc::new(Project::load(LoadOptions::new(folder.path())).unwrap());
        let lake = folder.path().join("lake").to_string_lossy().into_owned();
        let events = EventSink::channel().0;
        let workspace =
            Workspace::open(project, &lake, EngineOptions::default(), events, "r".to_owned()).await.unwrap();
        let settings = json!({"http": true, "format": {"type": "ndjson"}});
        let options = FeedOptions {
            label: "feed.adt".to_owned(),
            name: TableName::new("bronze", "adt").unwrap(),
            table: FileTable::from_json(&Value::Null, &settings).unwrap(),
            columns: vec!["id".to_owned()],
            max_waiting_bytes: 1,
            key_window: Duration::ZERO,
        };
        // Records that are none stand at both sides of a border between two batches.
        for batch in [batch(0, &["{\"id\": 1}", "poison"]), batch(2, &["poison", "{\"id\": 2}"])] {
            for _again in 0..2 {
                load_topic(&workspace, &options, &batch).await.unwrap();
            }
        }
        let session = workspace.engine.session(ReadState::Working).await.unwrap();
        let count = async |table: &str| -> usize {
            session.collect(&format!("select * from {table}")).await.unwrap().iter().map(|rows| rows.num_rows()).sum()
        };
        assert_eq!((count("bronze.adt").await, count("system.rejected_rows").await), (2, 2));
        assert_eq!(topic_position(&workspace, &options, "adt", 0).await.unwrap(), Some(4));
    }
}
