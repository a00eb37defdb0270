//! Reading again what was loaded: every load of every file once more, from its kept bytes, as the settings say now. The table is replaced in
//! one commit, so that readers see the old rows or the new ones, and a crash in between leaves the old ones.
//!
//! History comes out as if the files had been loaded in the order of their places by these settings. Each load keeps its id and its place, and
//! with them all that the load log and the ledger say of it stays true; so no file is loaded once more for it. Rows that came by feeds, and
//! corrected ones, stay as they are.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use arrow::{
    array::{Array, AsArray, BooleanArray, RecordBatch},
    compute::{cast, filter_record_batch},
    datatypes::{DataType, Int64Type, TimestampMicrosecondType},
    error::ArrowError,
};
use datafusion::{execution::SendableRecordBatchStream, physical_plan::stream::RecordBatchStreamAdapter};
use futures::{StreamExt, TryStreamExt};
use tempfile::NamedTempFile;
use tokio::{runtime::Handle, sync::mpsc};
use wardlake_access::{SystemReason, Viewer};
use wardlake_connect::{FoundFile, source::Deletes};
use wardlake_core::{LedgerEntry, columns::ColumnList, lineage};
use wardlake_engine::{ReadState, Session, sql::literal};
use wardlake_storage::{Commit, Follows, Lake, SchemaChange, StagedFiles, StorageError, TableSnapshot};

use super::{
    ATTEMPTS, TablePlan,
    change::{KeyStates, RowOrder, fed_until_us, stored_rows},
    drift::ColumnsSoFar,
    late::{History, LateFile, Mode},
    loader::{Loader, Piece, is_compared},
    log::{LoadLog, SeenFiles, commits_id},
    places::{Places, without_place},
    writer::{self, Again, Written},
};
use crate::{
    Workspace,
    bronze::{self, FIX_BATCH},
    error::LoadError,
    reading,
};

/// Reads a table again; how many rows its files came to, if any was loaded. What its models have to do with it is among `words`.
pub(crate) async fn reload(
    workspace: &Arc<Workspace>,
    log: &LoadLog,
    plan: &TablePlan,
    words: &mut Vec<String>,
) -> Result<Option<u64>, LoadError> {
    for _ in 0..ATTEMPTS {
        let Some(snapshot) = workspace.lake.snapshot(&plan.name, None).await? else { return Ok(None) };
        let seen = log.repaired(workspace, plan, Some(&snapshot)).await?;
        if seen.0.is_empty() {
            // What a feed brought is not read again; what comes from now on is read by the settings of now.
            reading::note(workspace, &plan.name, &plan.table.reading).await?;
            return Ok(None);
        }
        match read_again(workspace, plan, &snapshot, &seen).await {
            // Rows came meanwhile: they are to be kept as well.
            Err(LoadError::Storage(StorageError::Conflict { .. })) => {}
            Err(error) => return Err(error),
            Ok((rows, found)) => {
                words.extend(found);
                words.extend(word_on_models(workspace, plan));
                return Ok(Some(rows));
            }
        }
    }
    Err(StorageError::Conflict { table: plan.name.to_string(), attempts: ATTEMPTS }.into())
}

/// To a model that takes what is new, every row of a table that was read again is new.
fn word_on_models(workspace: &Workspace, plan: &TablePlan) -> Option<String> {
    let reads = |of: &&wardlake_project::Node| {
        of.config.materialized == "incremental" && of.depends_on.nodes.contains(&plan.unique_id)
    };
    let names: Vec<&str> = workspace.project.nodes().values().filter(reads).map(|node| node.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "it was read again, and models that take only its new rows would take all of them once more: rebuild them with `wardlake build \
             --full-refresh -s {}`",
            names.join(" ")
        )
    })
}

/// One load that is read again.
struct Load {
    file: String,
    sha256: String,
    sequence: u64,
    batch_id: String,
    place: usize,
    mode: Mode,
    received_us: i64,
}

async fn read_again(
    workspace: &Arc<Workspace>,
    plan: &TablePlan,
    snapshot: &TableSnapshot,
    seen: &SeenFiles,
) -> Result<(u64, Vec<String>), LoadError> {
    let session = workspace.engine.session(Viewer::System(SystemReason::Load), ReadState::Working).await?;
    let places = Places::new(plan, seen, &[])?;
    let own: ColumnList = bronze::own_columns(&snapshot.schema()).iter().collect();
    let fed_until_us = fed_until_us(&session, &plan.name, &places).await?;
    let history = match fed_until_us.is_some() && is_compared(plan) {
        true => Some(fed_rows(&session, plan, &places, &own).await?),
        false => None,
    };
    let mut loads = loads(&session, plan, seen, &places).await?;
    // The rows of loads before the table was made anew are gone with the one before it.
    let since = reading::since(snapshot);
    loads.retain(|load| since.as_ref().is_none_or(|since| load.batch_id >= *since));
    let again = Again { id: plan.table.reading.to_text(), known: known_rejected(workspace, &session, plan).await? };
    let mut staged = Vec::new();
    let kept = keep_others(workspace, &session, plan, &places, fed_until_us.is_some()).await?;
    let columns: ColumnList = match kept.rows() {
        0 => {
            workspace.lake.discard_staged(&plan.name, vec![kept]).await?;
            let declared = bronze::declared_columns(&plan.columns, &plan.table);
            declared.names().iter().filter(|name| own.contains(name)).collect()
        }
        _ => {
            staged.push(kept);
            own
        }
    };
    let (send, receive) = mpsc::channel(8);
    let (lake, handle) = (Arc::clone(&workspace.lake), Handle::current());
    let job = Job { plan: plan.clone(), lake, loads, columns, history, handle, send };
    let reading = tokio::task::spawn_blocking(move || job.run());
    let written = writer::write_pieces(workspace, plan, receive, Some(&again)).await;
    let read = reading.await?;
    let written = match (written, read) {
        (Ok(written), Ok(())) => written,
        (Ok(Written { staged: unused, .. }), Err(error)) => {
            staged.extend(unused);
            workspace.lake.discard_staged(&plan.name, staged).await?;
            return Err(error);
        }
        (Err(error), _) => return Err(error),
    };
    let rows = written.staged.iter().map(StagedFiles::rows).sum();
    staged.extend(written.staged);
    commit(workspace, plan, snapshot, staged).await?;
    Ok((rows, writer::told(written.words)))
}

/// The old rows and the new ones change places in one commit.
async fn commit(
    workspace: &Workspace,
    plan: &TablePlan,
    snapshot: &TableSnapshot,
    staged: Vec<StagedFiles>,
) -> Result<(), LoadError> {
    let commits_id = commits_id(&plan.label);
    let commits = snapshot.consumed(&commits_id).await?.unwrap_or_default();
    let mut metadata = serde_json::Map::new();
    metadata.insert("wardlake.run".to_owned(), workspace.run_id.clone().into());
    let commit = Commit {
        // A load that began before finds that it has to look again.
        notes: vec![LedgerEntry::new(commits_id, commits + 1)],
        follows: Follows::Version(snapshot.version()),
        metadata,
        schema_change: SchemaChange::AppendNewColumns,
        properties: reading::properties(&plan.table),
        ..Commit::default()
    };
    workspace.lake.overwrite_staged(&plan.name, staged, commit).await?;
    Ok(())
}

/// What feeds said of each key.
async fn fed_rows(
    session: &Session,
    plan: &TablePlan,
    places: &Places,
    columns: &ColumnList,
) -> Result<History, LoadError> {
    let keeps_names = plan.table.deletes == Deletes::Detect;
    let mut history = History::default();
    stored_rows(session, &plan.name, &plan.table.keys, columns, RowOrder::Arrival, |row, name| {
        if !places.is_file(row.file) {
            history.add(&row, places.of_row(&row).place, if keeps_names { name() } else { Vec::new() });
        }
    })
    .await?;
    Ok(history)
}

/// Every load in the order of places, each later than the one before it.
async fn loads(session: &Session, plan: &TablePlan, seen: &SeenFiles, places: &Places) -> Result<Vec<Load>, LoadError> {
    let received = received(session, plan).await?;
    let mut loads = Vec::new();
    for (file, seen) in &seen.0 {
        let places = places.of_loads(file).ok_or_else(|| without_place(&plan.label, file))?;
        for (load, (place, is_arriving)) in seen.loads.iter().zip(places) {
            let known = received.get(&(file.clone(), load.batch_id.clone())).copied();
            loads.push(Load {
                file: file.clone(),
                sha256: load.sha256.clone(),
                sequence: load.sequence,
                batch_id: load.batch_id.clone(),
                place,
                mode: if is_arriving { Mode::LoadArriving } else { Mode::Load },
                // Of a load without rows its id tells when it began. One whose id tells nothing stands right behind the one before it.
                received_us: known.or_else(|| began_us(&load.batch_id)).unwrap_or_default(),
            });
        }
    }
    loads.sort_by(|a, b| (a.place, a.sequence, &a.batch_id).cmp(&(b.place, b.sequence, &b.batch_id)));
    let mut last = i64::MIN;
    for load in &mut loads {
        load.received_us = load.received_us.max(last.saturating_add(1));
        last = load.received_us;
    }
    Ok(loads)
}

/// When the first row of each load was received, by file and load.
async fn received(session: &Session, plan: &TablePlan) -> Result<HashMap<(String, String), i64>, LoadError> {
    let sql = format!(
        "select arrow_cast({0}, 'Utf8') as file, arrow_cast({1}, 'Utf8') as batch, \
         arrow_cast(min({2}), 'Timestamp(Microsecond, Some(\"UTC\"))') as received from {3} group by {0}, {1}",
        lineage::FILE,
        lineage::BATCH_ID,
        lineage::RECEIVED_AT,
        plan.name.quoted()
    );
    let mut received = HashMap::new();
    for batch in session.collect(&sql).await? {
        let text = |column: usize| batch.column(column).as_string::<i32>();
        let instants = batch.column(2).as_primitive::<TimestampMicrosecondType>();
        for row in (0..batch.num_rows()).filter(|row| instants.is_valid(*row)) {
            let key = (text(0).value(row).to_owned(), text(1).value(row).to_owned());
            received.insert(key, instants.value(row));
        }
    }
    Ok(received)
}

fn began_us(batch_id: &str) -> Option<i64> {
    let (seconds, nanos) = uuid::Uuid::parse_str(batch_id).ok()?.get_timestamp()?.to_unix();
    i64::try_from(seconds).ok()?.checked_mul(1_000_000)?.checked_add(i64::from(nanos / 1000))
}

/// The rejected records that are kept of the table: those that are rejected again are kept once.
async fn known_rejected(
    workspace: &Workspace,
    session: &Session,
    plan: &TablePlan,
) -> Result<HashSet<u128>, LoadError> {
    let mut known = HashSet::new();
    let table = wardlake_core::TableName::new(wardlake_records::system::SCHEMA, "rejected_rows")?;
    if !workspace.lake.exists(&table).await? {
        return Ok(known);
    }
    let sql = format!(
        "select arrow_cast({0}, 'Utf8') as file, arrow_cast(sha256, 'Utf8') as sha256, \
         arrow_cast(reason, 'Utf8') as reason, {1} from system.rejected_rows where {2} = {3}",
        lineage::FILE,
        lineage::POSITION,
        lineage::SOURCE,
        literal(&plan.label)
    );
    let mut stream = session.query(&sql).await?.stream().await?;
    while let Some(batch) = stream.try_next().await? {
        let text = |column: usize| batch.column(column).as_string::<i32>();
        let positions = batch.column(3).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let (file, sha256, reason) = (text(0).value(row), text(1).value(row), text(2).value(row));
            known.insert(Again::record(file, sha256, positions.value(row).unsigned_abs(), reason));
        }
    }
    Ok(known)
}

/// Writes the rows that no file brought, as they are: those of feeds, and corrected ones.
async fn keep_others(
    workspace: &Workspace,
    session: &Session,
    plan: &TablePlan,
    places: &Places,
    is_fed: bool,
) -> Result<StagedFiles, LoadError> {
    let only_fixes = if is_fed { String::new() } else { format!(" where {} like '{FIX_BATCH}%'", lineage::BATCH_ID) };
    let sql = format!("select * from {}{only_fixes}", plan.name.quoted());
    let rows = session.query(&sql).await?.stream().await?;
    let files = places.names();
    let schema = rows.schema();
    let kept = rows.map(move |batch| -> datafusion::error::Result<RecordBatch> { Ok(others(&batch?, &files)?) });
    let kept: SendableRecordBatchStream = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), kept));
    let commit = Commit { options: writer::bronze_options(&schema), ..Commit::default() };
    Ok(workspace.lake.stage(&plan.name, vec![kept], &commit).await?)
}

fn others(batch: &RecordBatch, files: &HashSet<String>) -> Result<RecordBatch, ArrowError> {
    let text = |name: &str| match batch.column_by_name(name) {
        Some(column) => cast(column, &DataType::Utf8),
        None => Err(ArrowError::SchemaError(format!("bronze has no column {name}"))),
    };
    let (file, batch_id) = (text(lineage::FILE)?, text(lineage::BATCH_ID)?);
    let (file, batch_id) = (file.as_string::<i32>(), batch_id.as_string::<i32>());
    let is_other = |row: usize| !files.contains(file.value(row)) || batch_id.value(row).starts_with(FIX_BATCH);
    let mask: BooleanArray = (0..batch.num_rows()).map(|row| Some(is_other(row))).collect();
    filter_record_batch(batch, &mask)
}

/// Everything the reading thread needs.
struct Job {
    plan: TablePlan,
    lake: Arc<Lake>,
    loads: Vec<Load>,
    columns: ColumnList,
    /// What feeds brought in between.
    history: Option<History>,
    handle: Handle,
    send: mpsc::Sender<Piece>,
}

impl Job {
    fn run(self) -> Result<(), LoadError> {
        let Self { plan, lake, loads, columns, mut history, handle, send } = self;
        let mut hand_on = |piece: Piece| send.blocking_send(piece).map_err(|_| LoadError::Cancelled);
        let keeps_names = plan.table.deletes == Deletes::Detect;
        let nothing = SeenFiles::default();
        let mut loader = Loader {
            plan: &plan,
            batch_id: String::new(),
            columns,
            states: is_compared(&plan).then(|| KeyStates::new(keeps_names)),
            so_far: ColumnsSoFar::new(&plan.label, &nothing, &BTreeMap::new())?,
            rows_in_table: 0,
            seen: nothing,
            loaded_rows: HashMap::new(),
            grown: grown(&plan, &loads),
            has_taken_rows: false,
            send: &mut hand_on,
        };
        let mut dirty = HashSet::new();
        for load in &loads {
            let (path, _copy) = kept_bytes(&lake, &handle, &plan, load)?;
            let failed = |error: LoadError| match error {
                LoadError::Source { error, .. } => not_read(&plan, load, error.to_string()),
                other => other,
            };
            let found = FoundFile::at(path).map_err(|error| not_read(&plan, load, error.to_string()))?;
            let found = FoundFile { relative: load.file.clone(), ..found };
            loader.batch_id.clone_from(&load.batch_id);
            let mut late = history
                .as_mut()
                .zip(Some(&mut dirty))
                .map(|(history, dirty)| LateFile::new(history, dirty, load.place, load.received_us, load.mode));
            loader.reload(&found, load.sequence, late.as_mut(), load.received_us).map_err(failed)?;
        }
        Ok(())
    }
}

/// Of a table without keys: the paths that were loaded more than once, of which each load brings what those before it did not have.
fn grown(plan: &TablePlan, loads: &[Load]) -> HashMap<String, HashMap<u128, u64>> {
    if is_compared(plan) {
        return HashMap::new();
    }
    let again = loads.iter().filter(|load| load.sequence > 1);
    again.map(|load| (load.file.clone(), HashMap::new())).collect()
}

/// Where the bytes of a load can be read, and the copy that lasts as long as it is held.
fn kept_bytes(
    lake: &Lake,
    handle: &Handle,
    plan: &TablePlan,
    load: &Load,
) -> Result<(PathBuf, Option<NamedTempFile>), LoadError> {
    let place = Lake::landing_path(&load.sha256);
    let gone = || {
        let reason = format!("its kept bytes ({}) are gone; restore the lake's _landing folder", load.sha256);
        not_read(plan, load, reason)
    };
    if let Some(folder) = lake.local_path() {
        let relative: &str = place.as_ref();
        let path = folder.join(relative);
        return if path.is_file() { Ok((path, None)) } else { Err(gone()) };
    }
    let bytes = handle.block_on(lake.get(&place))?.ok_or_else(gone)?;
    let copy = NamedTempFile::new().and_then(|copy| std::fs::write(copy.path(), &bytes).map(|()| copy));
    let copy = copy.map_err(|error| not_read(plan, load, error.to_string()))?;
    Ok((copy.path().to_owned(), Some(copy)))
}

fn not_read(plan: &TablePlan, load: &Load, reason: String) -> LoadError {
    LoadError::NotReadAgain { table: plan.label.clone(), file: load.file.clone(), reason }
}
