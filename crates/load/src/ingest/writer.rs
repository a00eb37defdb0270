//! The async half of a load: takes batches from the loader's thread, writes them as they come, and commits once.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{DataType, Int64Type, SchemaRef},
};
use chrono::Utc;
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream, physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::stream;
use tokio::{runtime::Handle, sync::mpsc};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use wardlake_access::{SystemReason, Viewer};
use wardlake_connect::{ConnectError, FoundFile, Rejected, source::Deletes};
use wardlake_core::{LedgerEntry, RowHasher, TableName, columns::ColumnList, lineage};
use wardlake_engine::ReadState;
use wardlake_records::{
    RecordsError, RunEvent,
    system::{self, LoggedFile, RejectedRow},
};
use wardlake_storage::{
    Commit, CommitOutcome, Encoding, SchemaChange, StagedFiles, StorageError, TableSnapshot, WriteOptions,
};

use super::{
    TablePlan,
    change::{KeyStates, RowOrder, fed_until_us, stored_rows},
    job::{FailedFile, LoadJob},
    late::History,
    loader::{Piece, is_compared},
    log::{FILES_METADATA, SeenFiles, commits_id, ledger_entry},
    places::{Places, is_of_feed},
};
use crate::{Workspace, bronze, error::LoadError, reading};

/// What a load of one table brought.
#[derive(Default)]
pub(crate) struct Loaded {
    pub(crate) files: Vec<LoggedFile>,
    pub(crate) warnings: Vec<String>,
    /// A sentence for each file that cannot be loaded.
    pub(crate) failures: Vec<String>,
}

/// Loads files in order, in one commit. A file that turns out to be half-written is left for the next run; one that cannot be read, or be
/// rows of this table, holds up no other. `None`: another process loaded files of the table meanwhile, and nothing was done.
pub(crate) async fn load_files(
    workspace: &Arc<Workspace>,
    plan: &TablePlan,
    snapshot: Option<TableSnapshot>,
    seen: SeenFiles,
    mut files: Vec<FoundFile>,
) -> Result<Option<Loaded>, LoadError> {
    let mut loaded = Loaded::default();
    while !files.is_empty() {
        let error = match try_load(workspace, plan, snapshot.as_ref(), &seen, &files).await {
            Ok(Some(done)) => {
                loaded.files = done.files;
                loaded.warnings.extend(done.warnings);
                loaded.failures.extend(done.failures);
                return Ok(Some(loaded));
            }
            Ok(None) => return Ok(None),
            Err(error) => error,
        };
        let before = files.len();
        if let LoadError::Source { error: ConnectError::Unfinished { path, reason }, .. } = &error {
            files.retain(|file| file.path != *path);
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            loaded.warnings.push(format!("{name} is left for the next run: {reason}"));
        } else if let Some(failed) = FailedFile::of(&error) {
            files.retain(|file| file.path != failed.path);
            loaded.failures.push(failed.message);
        }
        // It is none of these files: a landed one that was read again, or no file at all.
        if files.len() == before {
            return Err(error);
        }
    }
    Ok(Some(loaded))
}

async fn try_load(
    workspace: &Arc<Workspace>,
    plan: &TablePlan,
    snapshot: Option<&TableSnapshot>,
    seen: &SeenFiles,
    files: &[FoundFile],
) -> Result<Option<Loaded>, LoadError> {
    let past = Past::read(workspace, plan, snapshot, seen, files).await?;
    let (send, receive) = mpsc::channel(8);
    let job = LoadJob {
        plan: plan.clone(),
        lake: Arc::clone(&workspace.lake),
        seen: seen.clone(),
        files: files.to_vec(),
        past,
        handle: Handle::current(),
        send,
    };
    let loading = tokio::task::spawn_blocking(move || job.run());
    let written = write_pieces(workspace, plan, receive, None).await;
    let loaded = loading.await?;
    let written = match (written, &loaded) {
        (Ok(written), Ok(_)) => written,
        (Ok(written), Err(_)) => {
            workspace.lake.discard_staged(&plan.name, written.staged).await?;
            Written::default()
        }
        // The writer's failure is why the loader could not go on.
        (Err(error), _) => return Err(error),
    };
    let (files, failed) = loaded?;
    let is_ours = commit(workspace, plan, snapshot, written.staged, &files).await?;
    let failures = failed.into_iter().map(|failed| failed.message).collect();
    Ok(is_ours.then(|| Loaded { files, warnings: told(written.words), failures }))
}

/// So many things about its files are told of one load of a table: a thousand files of one kind have the same to tell.
const MOST_WORDS: usize = 10;

pub(super) fn told(mut words: Vec<String>) -> Vec<String> {
    let more = words.len().saturating_sub(MOST_WORDS);
    words.truncate(MOST_WORDS);
    if more > 0 {
        words.push(format!("{more} more remarks on files of this table"));
    }
    words
}

/// What bronze knew before this load.
pub(crate) struct Past {
    pub(crate) columns: ColumnList,
    pub(crate) rows: u64,
    pub(crate) states: Option<KeyStates>,
    pub(crate) history: Option<History>,
    /// Where all files stand, loaded and new.
    pub(crate) places: Places,
    pub(crate) loaded_rows: HashMap<String, HashMap<u128, u64>>,
}

impl Past {
    async fn read(
        workspace: &Workspace,
        plan: &TablePlan,
        snapshot: Option<&TableSnapshot>,
        seen: &SeenFiles,
        files: &[FoundFile],
    ) -> Result<Self, LoadError> {
        let columns = snapshot.map(|snapshot| bronze::own_columns(&snapshot.schema())).unwrap_or_default();
        let columns: ColumnList = columns.iter().collect();
        // Whether there are rows decides what becomes of a new column: files of other writers may not say how many they hold.
        let rows = match snapshot.map(TableSnapshot::num_rows) {
            None => 0,
            Some(Some(rows)) => rows,
            Some(None) => counted(workspace, plan).await?,
        };
        let mut past = Self {
            rows,
            columns,
            states: None,
            history: None,
            places: Places::new(plan, seen, files)?,
            loaded_rows: HashMap::new(),
        };
        if is_compared(plan) {
            past.read_states(workspace, plan, files, snapshot.is_some()).await?;
        } else if snapshot.is_some() {
            let again: HashSet<&str> =
                files.iter().map(|file| file.relative.as_str()).filter(|file| seen.0.contains_key(*file)).collect();
            past.read_loaded(workspace, plan, &again).await?;
        }
        Ok(past)
    }

    /// Counts the bronze rows of paths that are loaded again into a table without keys.
    async fn read_loaded(
        &mut self,
        workspace: &Workspace,
        plan: &TablePlan,
        again: &HashSet<&str>,
    ) -> Result<(), LoadError> {
        if again.is_empty() {
            return Ok(());
        }
        let session = workspace.engine.session(Viewer::System(SystemReason::Load), ReadState::Working).await?;
        let loaded = &mut self.loaded_rows;
        stored_rows(&session, &plan.name, &[], &ColumnList::default(), RowOrder::Any, |row, _| {
            if again.contains(row.file) {
                *loaded.entry(row.file.to_owned()).or_default().entry(row.hash).or_default() += 1;
            }
        })
        .await
    }

    async fn read_states(
        &mut self,
        workspace: &Workspace,
        plan: &TablePlan,
        files: &[FoundFile],
        exists: bool,
    ) -> Result<(), LoadError> {
        let keeps_names = plan.table.deletes == Deletes::Detect;
        let mut states = KeyStates::new(keeps_names);
        let mut history = History::default();
        let places = &self.places;
        let mut has_late = places.has_late(files, None);
        if exists {
            let session = workspace.engine.session(Viewer::System(SystemReason::Load), ReadState::Working).await?;
            let fed_until_us = fed_until_us(&session, &plan.name, places).await?;
            has_late = places.has_late(files, fed_until_us);
            // Where a row stands that came again depends on what a feed had said of its key by then.
            let order = if fed_until_us.is_some() { RowOrder::Arrival } else { RowOrder::Any };
            let mut newest: HashMap<u128, NewestState> = HashMap::new();
            stored_rows(&session, &plan.name, &plan.table.keys, &self.columns, order, |row, name| {
                if keeps_names {
                    states.note_name(row.key, name);
                }
                let last = newest.get(&row.key);
                let own = places.of_row(&row);
                let behind = last.map(|last| last.place).filter(|last| own.is_arriving && is_of_feed(*last));
                let place = behind.map_or(own.place, |last| last.max(own.place));
                if has_late {
                    history.add(&row, place, if keeps_names { name() } else { Vec::new() });
                }
                if last.is_none_or(|last| (last.place, last.order) < (place, row.order)) {
                    let hash = (!row.is_delete).then_some(row.hash);
                    newest.insert(row.key, NewestState { place, order: row.order, hash });
                }
            })
            .await?;
            for (key, state) in newest {
                if let Some(hash) = state.hash {
                    states.set(key, hash);
                }
            }
        }
        self.states = Some(states);
        self.history = has_late.then_some(history);
        Ok(())
    }
}

/// The rows of a table, read.
async fn counted(workspace: &Workspace, plan: &TablePlan) -> Result<u64, LoadError> {
    let session = workspace.engine.session(Viewer::System(SystemReason::Load), ReadState::Working).await?;
    let batches = session.collect(&format!("select cast(count(*) as bigint) from {}", plan.name.quoted())).await?;
    let count = batches.iter().find(|batch| batch.num_rows() > 0);
    let count = count.and_then(|batch| batch.column(0).as_primitive_opt::<Int64Type>()).map(|count| count.value(0));
    count.map(i64::unsigned_abs).ok_or_else(|| LoadError::Broken {
        table: plan.label.clone(),
        what: "its rows could not be counted".to_owned(),
    })
}

/// The last state of a key, as far as rows were read.
struct NewestState {
    place: usize,
    order: (i64, i64),
    /// `None` says the key was deleted.
    hash: Option<u128>,
}

/// Writers at once per table: one per core of a small machine.
const WRITERS: usize = 2;

type Write = tokio::task::JoinHandle<Result<StagedFiles, StorageError>>;

/// What became of the pieces of a load.
#[derive(Default)]
pub(super) struct Written {
    pub(super) staged: Vec<StagedFiles>,
    pub(super) words: Vec<String>,
}

/// Files that are read again.
pub(super) struct Again {
    /// By what they are read: records that were not rejected before are kept once for it.
    pub(super) id: String,
    /// Rejected records that are kept already.
    pub(super) known: HashSet<u128>,
}

impl Again {
    /// By what a rejected record is known.
    pub(super) fn record(file: &str, sha256: &str, position: u64, reason: &str) -> u128 {
        let mut hasher = RowHasher::default();
        [file, sha256, reason].iter().for_each(|text| hasher.field(Some(text.as_bytes())));
        hasher.field(Some(&position.to_le_bytes()));
        hasher.finish().0
    }

    fn is_kept(&self, file: &str, sha256: &str, record: &Rejected) -> bool {
        self.known.contains(&Self::record(file, sha256, record.line, record.reason.code()))
    }
}

/// Writes rows as they come; batches with other columns begin a new stage.
pub(super) async fn write_pieces(
    workspace: &Arc<Workspace>,
    plan: &TablePlan,
    mut pieces: mpsc::Receiver<Piece>,
    again: Option<&Again>,
) -> Result<Written, LoadError> {
    let mut written = Written::default();
    let mut stage: Option<Stage> = None;
    let mut rejecting: Option<RejectedRows> = None;
    let mut rows = 0;
    while let Some(piece) = pieces.recv().await {
        match piece {
            Piece::Rejected { file, sha256, sequence, mut records, is_last } => {
                records.retain(|record| !again.is_some_and(|again| again.is_kept(&file, &sha256, record)));
                let batch = rejected_batch(plan, &file, &sha256, &records)?;
                let rows = match rejecting.take() {
                    Some(rows) => rows,
                    None => {
                        let mut ledger = left_out_entry("rejected", plan, &file, &sha256, sequence);
                        if let Some(again) = again {
                            ledger.app_id = format!("{}:{}", ledger.app_id, again.id);
                        }
                        RejectedRows::begin(workspace, batch.schema(), ledger)?
                    }
                };
                if batch.num_rows() > 0 {
                    rows.send(Some(batch)).await;
                }
                match is_last {
                    true => rows.finish().await?,
                    false => rejecting = Some(rows),
                }
            }
            Piece::Repeated { file, sha256, sequence, positions } => {
                keep_repeated(workspace, plan, &file, &sha256, sequence, positions).await?;
            }
            Piece::Word(word) => written.words.push(word),
            Piece::Rows(batch) => {
                if let Some(done) = stage.take_if(|stage| stage.schema != batch.schema()) {
                    written.staged.push(done.finish().await?);
                }
                let stage = stage.get_or_insert_with(|| Stage::begin(workspace, plan, batch.schema()));
                rows += batch.num_rows() as u64;
                if stage.send(batch).await.is_err() {
                    // The stage says why it stopped taking rows.
                    break;
                }
                let unique_id = plan.unique_id.clone();
                workspace.events.tell(RunEvent::NodeProgress { unique_id, rows, bytes: 0 });
            }
        }
    }
    if let Some(stage) = stage {
        written.staged.push(stage.finish().await?);
    }
    Ok(written)
}

/// Files being written with one set of columns.
struct Stage {
    schema: SchemaRef,
    /// Each writer, and how many rows it was sent.
    senders: Vec<(mpsc::Sender<RecordBatch>, usize)>,
    write: Write,
}

impl Stage {
    fn begin(workspace: &Arc<Workspace>, plan: &TablePlan, schema: SchemaRef) -> Self {
        let mut senders = Vec::with_capacity(WRITERS);
        let mut streams: Vec<SendableRecordBatchStream> = Vec::with_capacity(WRITERS);
        for _ in 0..WRITERS {
            let (sender, receiver) = mpsc::channel(2);
            senders.push((sender, 0));
            streams.push(Box::pin(RecordBatchStreamAdapter::new(
                Arc::clone(&schema),
                ReceiverStream::new(receiver).map(Ok),
            )));
        }
        let (lake, name) = (Arc::clone(&workspace.lake), plan.name.clone());
        let commit = Commit { options: bronze_options(&schema), ..Commit::default() };
        let write = tokio::spawn(async move { lake.stage(&name, streams, &commit).await });
        Self { schema, senders, write }
    }

    /// Hands the batch to the writer that has the fewest rows: batches differ in size, and turns would leave one idle.
    async fn send(&mut self, batch: RecordBatch) -> Result<(), mpsc::error::SendError<RecordBatch>> {
        let Some((sender, rows)) = self.senders.iter_mut().min_by_key(|(_, rows)| *rows) else { return Ok(()) };
        *rows += batch.num_rows();
        sender.send(batch).await
    }

    async fn finish(self) -> Result<StagedFiles, LoadError> {
        drop(self.senders);
        Ok(self.write.await??)
    }
}

/// Enough for codes and names of places; ids and times outgrow it at once.
const DICTIONARY_BYTES: usize = 64 << 10;
/// Columns of bronze by which files are looked for.
const BOUNDED: [&str; 3] = [lineage::FILE, lineage::POSITION, lineage::RECEIVED_AT];

/// How rows of bronze are written. Hashes are random and all of one length, and positions count up: neither gains by a
/// dictionary. Bronze is read whole or by file, place and time: bounds of anything else, and of pages, would only cost time.
pub(super) fn bronze_options(schema: &SchemaRef) -> WriteOptions {
    let encoding = |data_type: &DataType| match data_type {
        DataType::Utf8 => Some(Encoding::DELTA_LENGTH_BYTE_ARRAY),
        DataType::Int64 => Some(Encoding::DELTA_BINARY_PACKED),
        _ => None,
    };
    let encodings =
        schema.fields().iter().filter_map(|field| Some((field.name().clone(), encoding(field.data_type())?)));
    let names = schema.fields().iter().map(|field| field.name().clone());
    WriteOptions {
        has_page_statistics: false,
        dictionary_bytes: DICTIONARY_BYTES,
        without_dictionary: vec![lineage::ROW_HASH.to_owned(), lineage::POSITION.to_owned()],
        without_bounds: names.filter(|name| !BOUNDED.contains(&name.as_str())).collect(),
        encodings: encodings.collect(),
        ..WriteOptions::default()
    }
}

/// The ledger entry of what a load of a file left out.
fn left_out_entry(what: &str, plan: &TablePlan, file: &str, sha256: &str, sequence: u64) -> LedgerEntry {
    let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
    LedgerEntry::new(format!("{what}:{}:{file}:{sha256}", plan.label), sequence)
}

fn rejected_batch(plan: &TablePlan, file: &str, sha256: &str, records: &[Rejected]) -> Result<RecordBatch, LoadError> {
    let received_at = Utc::now();
    let rows: Vec<RejectedRow<'_>> = records
        .iter()
        .map(|record| RejectedRow {
            file,
            position: record.line,
            byte_offset: record.byte_offset,
            reason: record.reason.code(),
            message: record.reason.message(),
            bytes: &record.bytes,
            length: record.length,
            sha256,
            received_at,
        })
        .collect();
    Ok(system::rejected_rows(&plan.label, &rows)?)
}

/// The rejected records of one file on their way into one commit. It is there before the rows of the file are: a crash in between keeps the
/// records once all the same.
struct RejectedRows {
    /// `None` is the end. Without one nothing is committed: the ledger would hold a part of the file for all of it.
    sender: mpsc::Sender<Option<RecordBatch>>,
    write: tokio::task::JoinHandle<Result<(), RecordsError>>,
}

impl RejectedRows {
    fn begin(workspace: &Workspace, schema: SchemaRef, ledger: LedgerEntry) -> Result<Self, LoadError> {
        let name = TableName::new(system::SCHEMA, "rejected_rows")?;
        let lake = Arc::clone(&workspace.lake);
        let (sender, receiver) = mpsc::channel::<Option<RecordBatch>>(1);
        let batches = stream::try_unfold(receiver, |mut receiver| async move {
            match receiver.recv().await {
                Some(Some(batch)) => Ok(Some((batch, receiver))),
                Some(None) => Ok(None),
                None => Err(DataFusionError::Execution("the file was not read to its end".to_owned())),
            }
        });
        let rows: SendableRecordBatchStream = Box::pin(RecordBatchStreamAdapter::new(schema, batches));
        let write = tokio::spawn(async move { system::append_streams(&lake, &name, vec![rows], ledger).await });
        Ok(Self { sender, write })
    }

    async fn send(&self, batch: Option<RecordBatch>) {
        // Nobody takes it where the table has the records already, or where the writing failed: its end tells which.
        let _ = self.sender.send(batch).await;
    }

    async fn finish(self) -> Result<(), LoadError> {
        self.send(None).await;
        Ok(self.write.await??)
    }
}

/// Where the lines stand that a load left out because the file had them before.
async fn keep_repeated(
    workspace: &Workspace,
    plan: &TablePlan,
    file: &str,
    sha256: &str,
    sequence: u64,
    positions: Vec<i64>,
) -> Result<(), LoadError> {
    let batch = system::repeated_rows(&workspace.run_id, &plan.label, file, positions, Utc::now())?;
    let ledger = left_out_entry("repeated", plan, file, sha256, sequence);
    Ok(system::append(&workspace.lake, "repeated_rows", batch, ledger).await?)
}

/// One commit for all files: their rows become visible with the ledger that says they are loaded. `false`: another process loaded files of
/// the table since `snapshot`. What is news was found without those, and what became of them is that process's to write down.
async fn commit(
    workspace: &Workspace,
    plan: &TablePlan,
    snapshot: Option<&TableSnapshot>,
    staged: Vec<StagedFiles>,
    loaded: &[LoggedFile],
) -> Result<bool, LoadError> {
    let Some(first) = loaded.first() else { return Ok(true) };
    if staged.is_empty() && snapshot.is_none() {
        // Headers, described columns and rejected records: models can be built on a table without rows.
        let headers = loaded.iter().flat_map(|file| &file.columns);
        let columns: Vec<String> = headers.chain(&plan.columns).cloned().collect();
        bronze::create(workspace, &plan.label, &plan.name, &plan.table, &columns, Some(&first.batch_id)).await?;
        if !workspace.lake.exists(&plan.name).await? {
            return Ok(true);
        }
    }
    let commits_id = commits_id(&plan.label);
    let commits = match snapshot {
        Some(snapshot) => snapshot.consumed(&commits_id).await?,
        None => None,
    };
    let mut metadata = serde_json::Map::new();
    metadata.insert("wardlake.run".to_owned(), workspace.run_id.clone().into());
    // Without it a crash would lose what was loaded: the rows would come once more.
    let files = serde_json::to_value(loaded).map_err(|error| LoadError::Broken {
        table: plan.label.clone(),
        what: format!("what was loaded cannot be noted: {error}"),
    })?;
    metadata.insert(FILES_METADATA.to_owned(), files);
    let commit = Commit {
        ledger: loaded.iter().map(|file| ledger_entry(&plan.label, file)).collect(),
        notes: vec![LedgerEntry::new(commits_id.clone(), commits.unwrap_or_default() + 1)],
        requires: vec![(commits_id, commits)],
        metadata,
        schema_change: SchemaChange::AppendNewColumns,
        properties: reading::created(&plan.table, &first.batch_id),
        ..Commit::default()
    };
    match workspace.lake.append_staged(&plan.name, staged, commit).await {
        Ok(CommitOutcome::Committed { .. }) => Ok(true),
        Ok(CommitOutcome::AlreadyApplied { .. })
        | Err(StorageError::LedgerMoved { .. } | StorageError::PartlyApplied { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
