//! From a topic to bronze. The broker keeps the records, so there is no journal: bronze's own ledger says how far each partition
//! was taken, in the commit that holds its rows. A record that cannot be loaded is kept as it is, with the reason, and holds up nothing
//! behind it.

use std::{collections::HashSet, sync::Arc};

use chrono::Utc;
use wardlake_connect::{
    ConnectError, KafkaBatch,
    kafka::{Fit, KafkaPosition, KafkaRecord, OffsetGap, PartitionBatch},
    source::FileFormat,
};
use wardlake_core::LedgerEntry;
use wardlake_storage::StorageError;

use super::{
    FeedOptions, Records, RejectedRecord,
    load::{self, Failure},
    read_into,
};
use crate::{Workspace, error::LoadError};

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
) -> Result<Option<i64>, LoadError> {
    let Some(snapshot) = workspace.lake.snapshot(&options.name, None).await? else { return Ok(None) };
    Ok(snapshot.consumed(&ledger_id(&options.label, topic, partition)).await?)
}

impl TopicLoad {
    /// Takes in what became of a later part of the same batch.
    fn add(&mut self, later: Self) {
        let is_of = |topic: &Arc<str>, partition: i32, position: &KafkaPosition| {
            (topic, partition) == (&position.topic, position.partition)
        };
        for position in later.positions {
            self.positions.retain(|known| !is_of(&position.topic, position.partition, known));
            self.positions.push(position);
        }
        for (topic, partition) in later.again {
            self.positions.retain(|known| !is_of(&topic, partition, known));
            if !self.again.contains(&(Arc::clone(&topic), partition)) {
                self.again.push((topic, partition));
            }
        }
        self.version = later.version.or(self.version);
        self.rows += later.rows;
    }
}

/// Records that are loaded together.
struct Piece {
    batch: KafkaBatch,
    /// Why its one record cannot be loaded.
    refused: Option<String>,
    is_second_try: bool,
}

impl Piece {
    fn new(batch: KafkaBatch) -> Self {
        Self { batch, refused: None, is_second_try: false }
    }
}

/// Loads a batch: each partition's part if it follows on what bronze has, in one commit. Where that fails for what the records hold, they
/// are tried by halves: those that can be loaded are, in order, and those that cannot be are set aside.
pub async fn load_topic(
    workspace: &Workspace,
    options: &FeedOptions,
    batch: &KafkaBatch,
) -> Result<TopicLoad, LoadError> {
    let mut outcome = TopicLoad::default();
    // The next one last.
    let mut pieces = vec![Piece::new(batch.clone())];
    while let Some(piece) = pieces.pop() {
        let failure = match try_load(workspace, options, piece.batch.clone(), piece.refused.as_deref()).await {
            Ok(loaded) => {
                outcome.add(loaded);
                continue;
            }
            Err(failure) => failure,
        };
        match failure {
            // Another process took some of it in between: look again at what is left.
            Failure::Elsewhere(LoadError::Storage(
                StorageError::LedgerMoved { .. } | StorageError::PartlyApplied { .. },
            )) => pieces.push(piece),
            Failure::Content { error, is_certain } if piece.refused.is_none() => match halves(piece.batch) {
                Ok([first, second]) => pieces.extend([Piece::new(second), Piece::new(first)]),
                Err(batch) if is_certain || piece.is_second_try => {
                    pieces.push(Piece { refused: Some(error.to_string()), ..Piece::new(batch) });
                }
                Err(batch) => pieces.push(Piece { is_second_try: true, ..Piece::new(batch) }),
            },
            failure => return Err(failure.error()),
        }
    }
    Ok(outcome)
}

/// The records in two batches, one behind the other; a batch of one record comes back.
fn halves(mut batch: KafkaBatch) -> Result<[KafkaBatch; 2], KafkaBatch> {
    if batch.partitions.len() > 1 {
        let behind = batch.partitions.split_off(batch.partitions.len() / 2);
        return Ok([batch, KafkaBatch { partitions: behind }]);
    }
    match batch.partitions.pop() {
        Some(mut part) if part.records.len() > 1 => {
            let records = part.records.split_off(part.records.len() / 2);
            let border = records.first().map_or(part.next, |record| record.offset);
            let (before, gaps) = part.gaps.into_iter().partition(|gap| gap.from < border);
            let second = PartitionBatch {
                topic: Arc::clone(&part.topic),
                partition: part.partition,
                from: Some(border),
                next: part.next,
                records,
                gaps,
            };
            let first = PartitionBatch { next: border, gaps: before, ..part };
            Ok([KafkaBatch { partitions: vec![first] }, KafkaBatch { partitions: vec![second] }])
        }
        part => Err(KafkaBatch { partitions: part.into_iter().collect() }),
    }
}

/// `refused`: why the one record of the batch is set aside.
async fn try_load(
    workspace: &Workspace,
    options: &FeedOptions,
    batch: KafkaBatch,
    refused: Option<&str>,
) -> Result<TopicLoad, Failure> {
    let mut outcome = TopicLoad { positions: batch.positions(), ..TopicLoad::default() };
    let columns = load::table_columns(workspace, options).await.map_err(Failure::Elsewhere)?;
    let (mut ledger, mut requires, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    for mut part in batch.partitions {
        let at = topic_position(workspace, options, &part.topic, part.partition).await.map_err(Failure::Elsewhere)?;
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
        let last = LedgerEntry::new(entry.app_id.clone(), part.next - 1);
        ledger.push(entry);
        match refused {
            None => parts.push((last, records(options, columns.names(), &part))),
            Some(message) => {
                let aside = LedgerEntry::new(load::aside_id(&last.app_id), last.version);
                parts.push((last, vec![Records { rejected: lost(&part), ..nothing(&part) }]));
                parts.push((aside, vec![set_aside(&part, message)]));
            }
        }
    }
    if ledger.is_empty() {
        return Ok(outcome);
    }
    let all: Vec<&Records> = parts.iter().flat_map(|(_, records)| records).collect();
    outcome.rows = all.iter().flat_map(|records| &records.chunks).map(|chunk| chunk.rows as u64).sum();
    let prepared = load::prepare(options, &all, columns).map_err(Failure::certain)?;
    for (last, records) in &parts {
        let records: Vec<&Records> = records.iter().collect();
        load::keep_rejected(workspace, options, &records, last).await.map_err(Failure::Elsewhere)?;
    }
    match load::append(workspace, options, prepared, ledger, requires).await {
        Ok(version) => outcome.version = Some(version),
        Err(error) => return Err(load::judged(workspace, options, error).await),
    }
    if refused.is_some() {
        let place = all.first().map(|records| &*records.file).unwrap_or_default();
        let label = &options.label;
        workspace.events.warn(format!("{label}: a record of {place} cannot be loaded; it is in system.rejected_rows"));
    }
    Ok(outcome)
}

/// What a part without rows begins with.
fn nothing(part: &PartitionBatch) -> Records {
    Records {
        file: format!("{}/{}", part.topic, part.partition).into(),
        received_us: Utc::now().timestamp_micros(),
        chunks: Vec::new(),
        message: None,
        positions: Some(Vec::new()),
        first_position: 0,
        rejected: Vec::new(),
    }
}

fn rejected(record: &KafkaRecord, reason: &str, message: &str) -> RejectedRecord {
    RejectedRecord {
        position: record.offset,
        reason: reason.to_owned(),
        message: message.to_owned(),
        bytes: record.value.as_ref().map(|value| value.to_vec()).unwrap_or_default(),
    }
}

/// The records of a part as rejected ones.
fn set_aside(part: &PartitionBatch, message: &str) -> Records {
    let rejected = part.records.iter().map(|record| rejected(record, load::NOT_LOADABLE, message)).collect();
    Records { rejected, ..nothing(part) }
}

/// What the broker had deleted before it was read.
fn lost(part: &PartitionBatch) -> Vec<RejectedRecord> {
    let lost = |gap: &OffsetGap| RejectedRecord {
        position: gap.from,
        reason: "kafka_offsets_gone".to_owned(),
        message: gap.to_string(),
        bytes: Vec::new(),
    };
    part.gaps.iter().map(lost).collect()
}

/// The rows of a part. Objects of one line each are read together, other values one by one; one that is no record of the table's format
/// is kept as it is. `columns`: those of the table.
fn records(options: &FeedOptions, columns: &[String], part: &PartitionBatch) -> Vec<Records> {
    let has_lines =
        matches!(options.table.format.file_format, FileFormat::Auto | FileFormat::Json | FileFormat::Ndjson);
    let (lines, others): (Vec<&KafkaRecord>, Vec<&KafkaRecord>) = part
        .records
        .iter()
        .partition(|record| has_lines && record.value.as_ref().is_some_and(|value| is_object_line(value)));
    let mut found = vec![Records { rejected: lost(part), ..nothing(part) }];
    match take(options, columns, &lines, FileFormat::Ndjson, nothing(part)) {
        Ok(taken) => found.push(taken),
        // One of them spoils it for all: each on its own.
        Err(_) => found.extend(lines.iter().map(|record| alone(options, columns, record, FileFormat::Ndjson, part))),
    }
    for record in others {
        let format = match has_lines {
            true if record.value.as_ref().is_some_and(|value| is_one_line(value)) => FileFormat::Ndjson,
            true => FileFormat::Json,
            false => options.table.format.file_format,
        };
        found.push(alone(options, columns, record, format, part));
    }
    found
}

fn is_one_line(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, b'\n' | b'\r'))
}

/// Whether a value can stand as a line among others: it begins an object, so that no byte-order mark, no magic bytes and no NUL of one
/// say how all of them are read.
fn is_object_line(value: &[u8]) -> bool {
    value.trim_ascii_start().starts_with(b"{") && is_one_line(value) && !value.contains(&0)
}

/// One record, whatever it holds.
fn alone(
    options: &FeedOptions,
    columns: &[String],
    record: &KafkaRecord,
    format: FileFormat,
    part: &PartitionBatch,
) -> Records {
    if record.value.as_ref().is_none_or(|value| value.is_empty()) {
        let rejected = vec![rejected(record, "kafka_no_value", "the record has no value")];
        return Records { rejected, ..nothing(part) };
    }
    take(options, columns, &[record], format, nothing(part)).unwrap_or_else(|error| {
        let rejected = vec![rejected(record, "unreadable", &error.to_string())];
        Records { rejected, ..nothing(part) }
    })
}

/// Reads the values of some records, one line each or one record alone. Each is a row or rejected.
fn take(
    options: &FeedOptions,
    columns: &[String],
    records: &[&KafkaRecord],
    format: FileFormat,
    mut taken: Records,
) -> Result<Records, ConnectError> {
    let mut bytes =
        Vec::with_capacity(records.iter().filter_map(|record| record.value.as_ref()).map(|v| v.len() + 1).sum());
    for value in records.iter().filter_map(|record| record.value.as_ref()) {
        bytes.extend_from_slice(value);
        bytes.push(b'\n');
    }
    if records.is_empty() {
        return Ok(taken);
    }
    let is_single = records.len() == 1;
    // The place among `records` of what stands on a line.
    let place = move |line: i64| if is_single { 0 } else { usize::try_from(line - 1).unwrap_or(usize::MAX) };
    let reading = read_into(&options.table, Some(columns), &bytes, Some(format))?;
    let lines = reading.chunks.iter().flat_map(|chunk| chunk.positions.values().iter().copied());
    let rows: Vec<usize> = lines.map(place).collect();
    let mut told: HashSet<usize> = rows.iter().copied().collect();
    for bad in &reading.rejected {
        let at = place(i64::try_from(bad.line).unwrap_or(i64::MAX));
        told.insert(at);
        let (code, message) = (bad.reason.code(), bad.reason.message());
        taken.rejected.extend(records.get(at).map(|record| rejected(record, code, message)));
    }
    let untold = records.iter().enumerate().filter(|(at, _)| !told.contains(at)).map(|(_, record)| record);
    taken.rejected.extend(untold.map(|record| rejected(record, "kafka_no_record", "the value holds no record")));
    taken.positions = Some(rows.into_iter().filter_map(|at| Some(records.get(at)?.offset)).collect());
    taken.chunks = reading.chunks;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::testing::{lines, open, table_of_numbers};

    fn part(partition: i32, first: i64, values: &[&str]) -> PartitionBatch {
        let topic: Arc<str> = "adt".into();
        let record = |(place, value): (usize, &&str)| KafkaRecord {
            topic: Arc::clone(&topic),
            partition,
            offset: first + place as i64,
            timestamp_ms: 0,
            key: None,
            value: Some(value.as_bytes().to_vec().into()),
        };
        let records: Vec<KafkaRecord> = values.iter().enumerate().map(record).collect();
        let (from, next) = ((first > 0).then_some(first), first + records.len() as i64);
        PartitionBatch { topic: Arc::clone(&topic), partition, from, next, records, gaps: Vec::new() }
    }

    fn batch(first: i64, values: &[&str]) -> KafkaBatch {
        KafkaBatch { partitions: vec![part(0, first, values)] }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_record_is_a_row_or_rejected_once() {
        let folder = tempfile::tempdir().unwrap();
        let (workspace, options) = open(folder.path(), &["id"]).await;
        // Records that are none stand at both sides of a border between two batches; blanks are none either.
        let batches = [
            batch(0, &["{\"id\": 1}", "poison"]),
            batch(2, &["poison", "{\"id\": 2}", "  "]),
            batch(5, &["\n", "{\"id\": 3}", "", "{\"id\": NaN}", "\u{1f}\u{8b}"]),
        ];
        for batch in batches {
            for _again in 0..2 {
                load_topic(&workspace, &options, &batch).await.unwrap();
            }
        }
        assert_eq!(lines(&workspace, "select id from bronze.adt order by 1").await, ["1", "2", "3"]);
        let rejected = lines(&workspace, "select _position from system.rejected_rows order by 1").await;
        assert_eq!(rejected, ["1", "2", "4", "5", "7", "8", "9"]);
        assert_eq!(topic_position(&workspace, &options, "adt", 0).await.unwrap(), Some(10));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a02_names_that_differ_in_case_hold_up_no_topic() {
        let folder = tempfile::tempdir().unwrap();
        let (workspace, options) = open(folder.path(), &["id"]).await;
        let values = [
            "{\"id\": 1}",
            "{\"ID\": 2}",
            "{\"id\": 3, \"Id\": 4}",
            "{\"id\": 5, \"_FILE\": 6}",
            "{\"id\": 7, \"_file\": 8}",
            "{\"id\": 9, \"_File_2\": 0}",
        ];
        let both = KafkaBatch { partitions: vec![part(0, 0, &values), part(1, 0, &["{\"iD\": 10, \"ID_2\": 11}"])] };
        let loaded = load_topic(&workspace, &options, &both).await.unwrap();
        assert_eq!((loaded.rows, loaded.positions.len()), (7, 2));
        let sql = "select \"id\", \"Id_2\", \"_FILE_2\" from bronze.adt order by cast(\"id\" as int)";
        assert_eq!(lines(&workspace, sql).await, ["1", "2", "3 4", "5 6", "7 8", "9 0", "10 11"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a02_a_record_that_cannot_be_loaded_is_set_aside_and_the_others_are_loaded_once() {
        let folder = tempfile::tempdir().unwrap();
        let (workspace, options) = open(folder.path(), &[]).await;
        table_of_numbers(&workspace, &options).await;
        let value = |id: i32| if id % 7 == 0 { format!("{{\"id\":\"x{id}\"}}") } else { format!("{{\"id\":{id}}}") };
        let values: Vec<String> = (1..=20).map(value).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let mut parts = vec![part(0, 0, &values), part(1, 0, &["poison", "{\"id\":21}"])];
        parts[0].gaps.push(OffsetGap { topic: "adt".into(), partition: 0, from: 6, to: 6 });
        let batch = KafkaBatch { partitions: parts };
        for _again in 0..2 {
            let loaded = load_topic(&workspace, &options, &batch).await.unwrap();
            let positions: Vec<(i32, i64)> = loaded.positions.iter().map(|at| (at.partition, at.next)).collect();
            assert_eq!((positions, loaded.again.len()), (vec![(0, 20), (1, 2)], 0));
        }
        let ids = lines(&workspace, "select id from bronze.adt order by id").await;
        let wanted = (0..=21).filter(|id| id % 7 != 0 || [0, 21].contains(id));
        assert_eq!(ids, wanted.map(|id| id.to_string()).collect::<Vec<_>>());
        let kept = "select _file, _position, reason, cast(bytes as varchar) as bytes from system.rejected_rows \
                    order by 1, 2, 3";
        assert_eq!(
            lines(&workspace, kept).await,
            [
                "adt/0 6 kafka_offsets_gone",
                "adt/0 6 not_loadable {\"id\":\"x7\"}",
                "adt/0 13 not_loadable {\"id\":\"x14\"}",
                "adt/1 0 invalid_json poison",
            ]
        );
        for partition in [0, 1] {
            let at = topic_position(&workspace, &options, "adt", partition).await.unwrap();
            assert_eq!(at, Some(if partition == 0 { 20 } else { 2 }));
        }
    }
}
