//! From a topic to bronze; a topic here is any log that somebody else keeps. Who keeps it keeps its records, so there is no journal: bronze's
//! own ledger says how far each part was taken, in the commit that holds its rows. A record that cannot be loaded is kept as it is, with the
//! reason, and holds up nothing behind it.

use chrono::Utc;
use wardlake_connect::source::{Fit, Part, Rows, Stretches};
use wardlake_core::LedgerEntry;
use wardlake_storage::{Commit, StorageError};

use super::{
    FeedOptions, Origin, Records, RejectedRecord,
    load::{self, Failure},
    rows::prepare,
};
use crate::{Workspace, error::LoadError};

/// What became of some stretches.
#[derive(Clone, Debug, Default)]
pub struct TopicLoad {
    /// Bronze's new version, if anything was new.
    pub version: Option<u64>,
    /// How far each part is taken; for the record of who keeps the topic.
    pub positions: Vec<(Part, i64)>,
    /// Parts whose records are to be asked for again: something between them and bronze is missing.
    pub again: Vec<Part>,
    /// Rows loaded.
    pub rows: u64,
}

/// The next position of a part that bronze wants; none if it has nothing of it.
pub async fn topic_position(
    workspace: &Workspace,
    options: &FeedOptions,
    part: &Part,
) -> Result<Option<i64>, LoadError> {
    let Some(snapshot) = workspace.lake.snapshot(&options.name, None).await? else { return Ok(None) };
    Ok(snapshot.consumed(&part.ledger_id(&options.label)).await?)
}

impl TopicLoad {
    /// Takes in what became of later stretches of the same parts.
    fn add(&mut self, later: Self) {
        for position in later.positions {
            self.positions.retain(|(part, _)| *part != position.0);
            self.positions.push(position);
        }
        for again in later.again {
            self.positions.retain(|(part, _)| *part != again);
            if !self.again.contains(&again) {
                self.again.push(again);
            }
        }
        self.version = later.version.or(self.version);
        self.rows += later.rows;
    }
}

/// Records that are loaded together.
struct Piece {
    stretches: Stretches,
    /// Why its one record cannot be loaded.
    refused: Option<String>,
    is_second_try: bool,
}

impl Piece {
    fn new(stretches: Stretches) -> Self {
        Self { stretches, refused: None, is_second_try: false }
    }
}

/// Loads stretches of different parts: each if it follows on what bronze has, in one commit. Where that fails for what the records hold,
/// they are tried by halves: those that can be loaded are, in order, and those that cannot be are set aside.
pub async fn load_topic(
    workspace: &Workspace,
    options: &FeedOptions,
    stretches: &Stretches,
) -> Result<TopicLoad, LoadError> {
    let mut outcome = TopicLoad::default();
    // The next one last.
    let mut pieces = vec![Piece::new(stretches.clone())];
    while let Some(piece) = pieces.pop() {
        let failure = match try_load(workspace, options, piece.stretches.clone(), piece.refused.as_deref()).await {
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
            Failure::Content { error, is_certain } if piece.refused.is_none() => match halves(piece.stretches) {
                Ok([first, second]) => pieces.extend([Piece::new(second), Piece::new(first)]),
                Err(stretches) if is_certain || piece.is_second_try => {
                    pieces.push(Piece { refused: Some(error.to_string()), ..Piece::new(stretches) });
                }
                Err(stretches) => pieces.push(Piece { is_second_try: true, ..Piece::new(stretches) }),
            },
            failure => return Err(failure.error()),
        }
    }
    Ok(outcome)
}

/// The records in two halves, one behind the other; a single record comes back.
fn halves(mut stretches: Stretches) -> Result<[Stretches; 2], Stretches> {
    if stretches.len() > 1 {
        let behind = stretches.split_off(stretches.len() / 2);
        return Ok([stretches, behind]);
    }
    let behind = stretches.first_mut().and_then(|stretch| stretch.split());
    match behind {
        Some(behind) => Ok([stretches, vec![behind]]),
        None => Err(stretches),
    }
}

/// `refused`: why the one record of the stretches is set aside.
async fn try_load(
    workspace: &Workspace,
    options: &FeedOptions,
    stretches: Stretches,
    refused: Option<&str>,
) -> Result<TopicLoad, Failure> {
    let positions = stretches.iter().map(|stretch| (stretch.part(), stretch.end()));
    let mut outcome = TopicLoad { positions: positions.collect(), ..TopicLoad::default() };
    let columns = load::table_columns(workspace, options).await.map_err(Failure::Elsewhere)?;
    let (mut ledger, mut requires, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    for mut stretch in stretches {
        let part = stretch.part();
        let at = topic_position(workspace, options, &part).await.map_err(Failure::Elsewhere)?;
        match stretch.fit(at) {
            Fit::Known => continue,
            Fit::Ahead => {
                outcome.positions.retain(|(known, _)| *known != part);
                outcome.again.push(part);
                continue;
            }
            Fit::Follows => {}
        }
        let entry = LedgerEntry::new(part.ledger_id(&options.label), stretch.end());
        requires.push((entry.app_id.clone(), at));
        let last = LedgerEntry::new(entry.app_id.clone(), stretch.end() - 1);
        ledger.push(entry);
        let lost = records(&part, Rows { rejected: stretch.lost(), ..Rows::default() });
        match refused {
            None => {
                let mut read: Vec<Records> = vec![lost];
                let rows = stretch.rows(&options.table, columns.names());
                read.extend(rows.into_iter().map(|rows| records(&part, rows)));
                parts.push((last, read));
            }
            Some(message) => {
                let aside = LedgerEntry::new(load::aside_id(&last.app_id), last.version);
                parts.push((last, vec![lost]));
                let rejected: Vec<RejectedRecord> = stretch.rejected(load::NOT_LOADABLE, message);
                parts.push((aside, vec![records(&part, Rows { rejected, ..Rows::default() })]));
            }
        }
    }
    if ledger.is_empty() {
        return Ok(outcome);
    }
    let all: Vec<&Records> = parts.iter().flat_map(|(_, records)| records).collect();
    outcome.rows = all.iter().flat_map(|records| &records.chunks).map(|chunk| chunk.rows as u64).sum();
    let prepared = prepare(options, &all, columns).map_err(Failure::certain)?;
    for (last, records) in &parts {
        let records: Vec<&Records> = records.iter().collect();
        load::keep_rejected(workspace, options, &records, last).await.map_err(Failure::Elsewhere)?;
    }
    let commit = Commit { ledger, requires, ..Commit::default() };
    match load::append(workspace, options, prepared, commit).await {
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

/// What was read of a part, on its way to bronze.
fn records(part: &Part, rows: Rows) -> Records {
    Records {
        file: part.file.as_str().into(),
        received_us: Utc::now().timestamp_micros(),
        origin: Origin::default(),
        chunks: rows.chunks,
        message: None,
        positions: Some(rows.positions),
        first_position: 0,
        rejected: rows.rejected,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wardlake_connect::kafka::{KafkaBatch, KafkaRecord, OffsetGap, PartitionBatch};

    use super::*;
    use crate::intake::testing::{lines, open, table_of_numbers};

    /// Where bronze stands with a partition of the topic.
    async fn position(workspace: &Workspace, options: &FeedOptions, partition: i32) -> Option<i64> {
        let name = format!("adt:{partition}");
        let part = Part { kind: "kafka", name, file: format!("adt/{partition}") };
        topic_position(workspace, options, &part).await.unwrap()
    }

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
                load_topic(&workspace, &options, &batch.clone().into_stretches()).await.unwrap();
            }
        }
        assert_eq!(lines(&workspace, "select id from bronze.adt order by 1").await, ["1", "2", "3"]);
        let rejected = lines(&workspace, "select _position from system.rejected_rows order by 1").await;
        assert_eq!(rejected, ["1", "2", "4", "5", "7", "8", "9"]);
        assert_eq!(position(&workspace, &options, 0).await, Some(10));
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
        let loaded = load_topic(&workspace, &options, &both.into_stretches()).await.unwrap();
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
        let stretches = KafkaBatch { partitions: parts }.into_stretches();
        for _again in 0..2 {
            let loaded = load_topic(&workspace, &options, &stretches).await.unwrap();
            let positions: Vec<(&str, i64)> =
                loaded.positions.iter().map(|(part, next)| (part.file.as_str(), *next)).collect();
            assert_eq!((positions, loaded.again.len()), (vec![("adt/0", 20), ("adt/1", 2)], 0));
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
            let at = position(&workspace, &options, partition).await;
            assert_eq!(at, Some(if partition == 0 { 20 } else { 2 }));
        }
    }
}
