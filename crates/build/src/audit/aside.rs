//! What a run of an incremental model withholds and finds, on disk before the commit that decides whether it counts.
//!
//! Such a model consumes its input: once its commit is in the table, no run sees the same rows again. Its rows and those that are withheld
//! are two tables, so one commit cannot hold both; instead the first decides and the second is repaired from it:
//!
//! 1. Between the last row and the end that the writer waits for, the withheld rows and the findings are put aside, as files in
//!    `_withheld/<schema>/<table>/`, named by writer, attempt and part.
//! 2. The model's commit notes the attempt in the table's ledger (`withheld:<writer>` at the attempt's number). It is there if and only
//!    if the rows are.
//! 3. The rows are laid over `quarantine.<model>` and appended to `audit.<model>`, and the files are deleted.
//!
//! A process that dies before 2 leaves files that no ledger notes: the next run sees its input again, and they are deleted when they are
//! older than any commit takes. One that dies behind 2, or whose write of 3 failed, leaves files that the ledger notes: every run of the
//! model begins by doing 3 for them ([`catch_up`]), before it may find that nothing changed and before its version can be published. Doing
//! 3 twice, as after a death before the files were deleted or by two processes at once, changes nothing: a row that an attempt was laid
//! over once stays as it is then, and findings carry the attempt's run in their table's ledger.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use arrow::{
    array::RecordBatch,
    error::ArrowError,
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use wardlake_core::{LedgerEntry, TableName};
use wardlake_engine::Session;
use wardlake_load::Workspace;
use wardlake_project::Node;
use wardlake_storage::{Lake, StorageError};

use super::{Audited, ModelRun, findings, quarantine, split::Ledger, withheld};
use crate::error::BuildError;

const FOLDER: &str = "_withheld";
const EXTENSION: &str = "arrow";
/// Batches of a part: what is in memory twice while it is written.
const PART_BATCHES: usize = 16;
/// From the last row of a run to its commit no write takes so long.
const KEEP: Duration = Duration::hours(24);

/// One run of a model, by which its rows are found again.
pub(super) struct Attempt {
    lake: Arc<Lake>,
    model: TableName,
    run: Arc<ModelRun>,
    number: i64,
    /// Parts that were written.
    parts: AtomicUsize,
}

impl Attempt {
    pub(super) fn new(lake: &Arc<Lake>, model: &TableName, run: &Arc<ModelRun>) -> Self {
        let number = Utc::now().timestamp_micros();
        let (lake, run) = (Arc::clone(lake), Arc::clone(run));
        Self { lake, model: model.clone(), run, number, parts: AtomicUsize::default() }
    }

    fn key(&self) -> Key {
        Key { number: self.number, writer: self.lake.writer().to_owned() }
    }

    /// What the model's commit notes.
    pub(super) fn note(&self) -> LedgerEntry {
        LedgerEntry::new(self.key().app_id(), self.number)
    }

    fn path(&self, part: usize) -> String {
        format!("{}/{}", folder(&self.model), self.key().file(part))
    }

    /// Puts aside what was withheld and found; nothing, if nothing was.
    pub(super) async fn write(&self, ledger: &Ledger) -> Result<(), BuildError> {
        let (quarantined, listed) = (ledger.quarantined(&self.run)?, ledger.listed()?);
        let parts = quarantined.len().max(listed.len()).div_ceil(PART_BATCHES);
        let about = About { run: self.run.as_ref().clone(), parts };
        for number in 0..parts {
            let found = findings::rows(ledger, part(&listed, number))?;
            let bytes = encode(&about, part(&quarantined, number), &found)?;
            self.parts.store(number + 1, Ordering::Release);
            self.lake.put(&self.path(number).into(), bytes).await?;
        }
        Ok(())
    }

    /// Deletes the files: all is written down, or nothing is to be. What stays is found by the next run, which does the same again.
    pub(super) async fn clear(&self) {
        for number in 0..self.parts.load(Ordering::Acquire) {
            let _ = self.lake.remove(&self.path(number).into()).await;
        }
    }

    /// Deletes the files after a commit that failed. After an error of the store it may be in the table, or still get there.
    pub(super) async fn abandon(&self, error: &BuildError) {
        let is_certain = !matches!(error, BuildError::Storage(StorageError::Store { .. } | StorageError::Delta { .. }));
        if is_certain && matches!(has_landed(&self.lake, &self.model, &self.key()).await, Ok(false)) {
            self.clear().await;
        }
    }
}

/// The rows of one part.
fn part(rows: &[RecordBatch], number: usize) -> &[RecordBatch] {
    rows.chunks(PART_BATCHES).nth(number).unwrap_or_default()
}

fn folder(model: &TableName) -> String {
    format!("{FOLDER}/{}/{}", model.schema(), model.name())
}

/// Which attempt. Of a model a writer has one at a time, and none before what the one before it left is written down: the ledger's newest
/// number of a writer therefore tells about every file of that writer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    number: i64,
    writer: String,
}

impl Key {
    fn app_id(&self) -> String {
        format!("withheld:{}", self.writer)
    }

    fn file(&self, part: usize) -> String {
        format!("{}-{}-{part}.{EXTENSION}", self.writer, self.number)
    }

    fn of_file(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(EXTENSION)?.split('-');
        let (writer, number) = parts.next().zip(parts.next())?;
        Some(Self { number: number.parse().ok()?, writer: writer.to_owned() })
    }
}

/// Whether the attempt's commit is in the model's table.
async fn has_landed(lake: &Lake, model: &TableName, key: &Key) -> Result<bool, StorageError> {
    let Some(snapshot) = lake.snapshot(model, None).await? else { return Ok(false) };
    Ok(snapshot.consumed(&key.app_id()).await? == Some(key.number))
}

/// What every part says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct About {
    run: ModelRun,
    parts: usize,
}

/// A part as a file: a line about the run, then the withheld rows and the findings, each an Arrow stream.
fn encode(about: &About, quarantined: &[RecordBatch], found: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let mut bytes = serde_json::to_vec(about).map_err(|error| ArrowError::JsonError(error.to_string()))?;
    bytes.push(b'\n');
    for (schema, rows) in [(withheld::schema(), quarantined), (findings::schema(), found)] {
        let mut writer = StreamWriter::try_new(&mut bytes, &schema)?;
        rows.iter().try_for_each(|batch| writer.write(batch))?;
        writer.finish()?;
    }
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Result<(About, Vec<RecordBatch>, Vec<RecordBatch>), ArrowError> {
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let about = serde_json::from_slice(&bytes[..line]).map_err(|error| ArrowError::JsonError(error.to_string()))?;
    let mut rest = bytes.get(line + 1..).unwrap_or_default();
    // Each stream ends with a mark, behind which the next begins.
    let mut next = || -> Result<Vec<RecordBatch>, ArrowError> { StreamReader::try_new(&mut rest, None)?.collect() };
    Ok((about, next()?, next()?))
}

/// The files of one attempt.
struct Waiting {
    paths: Vec<String>,
    /// When the newest of them was written.
    written_at: DateTime<Utc>,
}

/// Writes down what earlier runs of the model, in this process or in another, withheld and found and could not write down any more.
pub async fn catch_up(
    workspace: &Workspace,
    session: &Session,
    node: &Node,
    model: &TableName,
) -> Result<(), BuildError> {
    if node.audit.is_none() {
        return Ok(());
    }
    let (lake, folder) = (&workspace.lake, folder(model));
    let mut attempts: BTreeMap<Key, Waiting> = BTreeMap::new();
    for (name, written_at) in lake.list(&folder.as_str().into()).await? {
        let Some(key) = Key::of_file(&name) else { continue };
        let waiting = attempts.entry(key).or_insert_with(|| Waiting { paths: Vec::new(), written_at });
        waiting.paths.push(format!("{folder}/{name}"));
        waiting.written_at = waiting.written_at.max(written_at);
    }
    for (key, Waiting { paths, written_at }) in attempts {
        if has_landed(lake, model, &key).await? {
            write_down(workspace, session, node, model, &paths).await?;
        } else if Utc::now() - written_at < KEEP {
            // It may be on its way.
            continue;
        }
        for path in &paths {
            lake.remove(&path.as_str().into()).await?;
        }
    }
    Ok(())
}

/// Lays the rows of an attempt over the quarantine and adds its findings, if that is still to do.
async fn write_down(
    workspace: &Workspace,
    session: &Session,
    node: &Node,
    name: &TableName,
    paths: &[String],
) -> Result<(), BuildError> {
    let mut first: Option<About> = None;
    let (mut quarantined, mut found) = (Vec::new(), Vec::new());
    for path in paths {
        // Another process writes it down as well, and was faster.
        let Some(bytes) = workspace.lake.get(&path.as_str().into()).await? else { return Ok(()) };
        let damaged = |error: ArrowError| StorageError::Damaged { path: path.clone(), reason: error.to_string() };
        let (about, its_quarantined, its_found) = decode(&bytes).map_err(damaged)?;
        first.get_or_insert(about);
        quarantined.extend(its_quarantined);
        found.extend(its_found);
    }
    // Parts are deleted when all is written down.
    let Some(about) = first.filter(|about| about.parts == paths.len()) else { return Ok(()) };
    let model = Audited { node, name, run: &about.run, is_refused: false };
    tokio::try_join!(
        quarantine::record(workspace, session, &model, quarantined),
        findings::record(workspace, &model, findings::stored(found)),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, StringArray, new_null_array};

    use super::*;

    /// Rows whose first column says which they are.
    fn rows(schema: &arrow::datatypes::SchemaRef, names: &[&str]) -> RecordBatch {
        let columns = schema.fields().iter().enumerate().map(|(index, field)| match index {
            0 => Arc::new(StringArray::from(names.to_vec())) as ArrayRef,
            _ => new_null_array(field.data_type(), names.len()),
        });
        RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap()
    }

    #[test]
    fn a14_what_is_put_aside_is_read_back_as_it_was() {
        let quarantined = [rows(&withheld::schema(), &["a", "b"]), rows(&withheld::schema(), &["c"])];
        let found = [rows(&findings::schema(), &["rule"])];
        let run = ModelRun { run_id: "run-1".to_owned(), at_us: 7, is_partial: true, quarantine: Some(3) };
        let about = About { run, parts: 1 };
        for (rows, findings) in [(2, 1), (2, 0), (0, 1)] {
            let (quarantined, found) = (&quarantined[..rows], &found[..findings]);
            let read = decode(&encode(&about, quarantined, found).unwrap()).unwrap();
            assert_eq!((read.1.as_slice(), read.2.as_slice()), (quarantined, found));
            assert_eq!((read.0.run.run_id.as_str(), read.0.run.quarantine, read.0.parts), ("run-1", Some(3), 1));
        }
        assert!(decode(b"").is_err());
    }

    #[test]
    fn a14_a_file_names_its_attempt() {
        let key = Key { number: 1_790_000_000_000_000, writer: "0f".to_owned() };
        assert_eq!(Key::of_file(&key.file(0)), Some(key.clone()));
        assert_eq!(Key::of_file(&key.file(12)), Some(key));
        for other in ["", "x.json", "0f.arrow", "0f-x-0.arrow"] {
            assert_eq!(Key::of_file(other), None, "{other}");
        }
    }
}
