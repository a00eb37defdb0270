//! The loader's thread: new files of a table in the order of their places, and, once a late file has changed the past,
//! the loaded files behind it in between.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::Utc;
use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle};
use wardlake_connect::{ConnectError, FoundFile};
use wardlake_records::system::LoggedFile;
use wardlake_storage::{Lake, LandingWriter, StorageError};

use super::{
    TablePlan,
    drift::ColumnsSoFar,
    late::{History, LateFile, Mode},
    loader::{Loader, Piece},
    log::SeenFiles,
    places::{order_key, without_place},
    writer::Past,
};
use crate::error::LoadError;

/// Everything the loader's thread needs.
pub(crate) struct LoadJob {
    pub(crate) plan: TablePlan,
    pub(crate) lake: Arc<Lake>,
    pub(crate) seen: SeenFiles,
    pub(crate) files: Vec<FoundFile>,
    pub(crate) past: Past,
    pub(crate) handle: Handle,
    pub(crate) send: mpsc::Sender<Piece>,
}

/// One file to read, at its place.
enum Step {
    /// A file that is not loaded yet.
    New(FoundFile),
    /// A loaded file behind a new one: its path.
    Again(String),
}

/// A file that cannot be loaded, and why.
pub(crate) struct FailedFile {
    pub(crate) path: PathBuf,
    pub(crate) message: String,
}

impl FailedFile {
    /// The file that `error` is about, if it is one file that cannot be read or be rows of its table: the others can be loaded all the same.
    pub(crate) fn of(error: &LoadError) -> Option<Self> {
        let LoadError::Source { error, .. } = error else { return None };
        let path = match error {
            ConnectError::Corrupt { path, .. }
            | ConnectError::Columns { path, .. }
            | ConnectError::OtherFormat { path, .. }
            | ConnectError::RecordsMissing { path, .. }
            | ConnectError::RecordTooLarge { path, .. }
            | ConnectError::Unreadable { path, .. } => path,
            _ => return None,
        };
        Some(Self { path: path.clone(), message: error.to_string() })
    }
}

impl LoadJob {
    /// Reads every file; gives back the records of the new ones, and the files that are left out.
    pub(crate) fn run(self) -> Result<(Vec<LoggedFile>, Vec<FailedFile>), LoadError> {
        let Self { plan, lake, seen, files, past, handle, send } = self;
        let mut hand_on = |piece: Piece| send.blocking_send(piece).map_err(|_| LoadError::Cancelled);
        let Past { columns, rows, states, mut history, places, loaded_rows } = past;
        let last_loaded = places.last_loaded();
        let steps = steps(&plan.label, places.files(), files, history.is_some())?;
        let mut loader = Loader {
            plan: &plan,
            batch_id: uuid::Uuid::now_v7().to_string(),
            columns,
            states,
            so_far: ColumnsSoFar::new(&plan.label, &seen, places.files())?,
            rows_in_table: rows,
            seen,
            loaded_rows,
            grown: HashMap::new(),
            has_taken_rows: false,
            send: &mut hand_on,
        };
        let mut landings = Landings::new(&handle);
        let (mut loaded, mut failed) = (Vec::new(), Vec::new());
        let mut dirty = HashSet::new();
        let began_us = Utc::now().timestamp_micros();
        for (received_us, (place, step)) in (began_us..).zip(steps) {
            loader.so_far.advance(place);
            let mut read = Reading {
                loader: &mut loader,
                lake: &lake,
                landings: &mut landings,
                handle: &handle,
                place,
                received_us,
            };
            match (step, history.as_mut()) {
                (Step::New(file), history) => {
                    let is_late = last_loaded.is_some_and(|last| place < last);
                    let mode = if places.is_arriving(&file.relative) { Mode::LoadArriving } else { Mode::Load };
                    match read.new_file(&file, mode, history.map(|history| (history, &mut dirty))) {
                        Ok(logged) => {
                            loaded.push(LoggedFile { is_late, order_key: order_key(&plan, &file), ..logged });
                        }
                        Err(error) => failed.push(loader.left_out(&file.path, error)?),
                    }
                }
                (Step::Again(relative), Some(history)) if !dirty.is_empty() => {
                    read.again(relative, history, &mut dirty)?;
                }
                (Step::Again(_), _) => {}
            }
        }
        landings.finish()?;
        Ok((loaded, failed))
    }
}

impl Loader<'_> {
    /// The file that failed, if it can be passed over here and now: nothing of it was taken. Otherwise everything is read again without it.
    fn left_out(&self, path: &Path, error: LoadError) -> Result<FailedFile, LoadError> {
        match FailedFile::of(&error) {
            Some(failed) if !self.has_taken_rows && failed.path == path => Ok(failed),
            _ => Err(error),
        }
    }
}

/// New files in order; with a history, the loaded files behind the first of them as well.
fn steps(
    label: &str,
    places: &BTreeMap<String, usize>,
    files: Vec<FoundFile>,
    has_history: bool,
) -> Result<Vec<(usize, Step)>, LoadError> {
    let new: HashSet<String> = files.iter().map(|file| file.relative.clone()).collect();
    let mut steps = Vec::with_capacity(files.len());
    for file in files {
        let place = *places.get(&file.relative).ok_or_else(|| without_place(label, &file.relative))?;
        steps.push((place, Step::New(file)));
    }
    let first = steps.iter().map(|(place, _)| *place).min();
    if let Some(first) = first.filter(|_| has_history) {
        let behind = places.iter().filter(|(file, place)| **place > first && !new.contains(*file));
        steps.extend(behind.map(|(file, place)| (*place, Step::Again(file.clone()))));
    }
    steps.sort_by_key(|(place, _)| *place);
    Ok(steps)
}

/// One file being read.
struct Reading<'a, 'l> {
    loader: &'a mut Loader<'l>,
    lake: &'a Lake,
    landings: &'a mut Landings,
    handle: &'a Handle,
    place: usize,
    /// Files of one commit keep their order.
    received_us: i64,
}

impl Reading<'_, '_> {
    /// Lands and loads a file.
    fn new_file(
        &mut self,
        file: &FoundFile,
        mode: Mode,
        past: Option<(&mut History, &mut HashSet<u128>)>,
    ) -> Result<LoggedFile, LoadError> {
        let writer = self.handle.block_on(self.lake.landing_writer())?;
        let mut landing = Landing { writer, handle: self.handle };
        let mut late = past.map(|(history, dirty)| LateFile::new(history, dirty, self.place, self.received_us, mode));
        match self.loader.load(file, &mut landing, late.as_mut(), self.received_us) {
            Ok(logged) => {
                self.landings.add(landing.writer, logged.load.sha256.clone())?;
                Ok(logged)
            }
            Err(error) => {
                // Why the load ended matters more than what is left of its copy: that is swept up later.
                let _ = self.handle.block_on(landing.writer.abort());
                Err(error)
            }
        }
    }

    /// Reads a loaded file again, from landing, for the keys whose past a late file changed.
    fn again(&mut self, relative: String, history: &mut History, dirty: &mut HashSet<u128>) -> Result<(), LoadError> {
        let Some(sha256) = self.loader.seen.0.get(&relative).map(|seen| seen.sha256.clone()) else { return Ok(()) };
        let landed = self.handle.block_on(self.lake.get(&Lake::landing_path(&sha256)))?;
        let bytes = landed.ok_or_else(|| LoadError::LandingGone { file: relative.clone(), sha256 })?;
        let label = self.loader.plan.label.clone();
        let copy = tempfile::NamedTempFile::new().and_then(|copy| std::fs::write(copy.path(), &bytes).map(|()| copy));
        let copy = copy.map_err(|source| LoadError::Source {
            table: label.clone(),
            error: ConnectError::Landing { path: relative.clone().into(), source },
        })?;
        let found = FoundFile::at(copy.path()).map_err(|error| LoadError::Source { table: label, error })?;
        let mut late = LateFile::new(history, dirty, self.place, self.received_us, Mode::Again);
        self.loader.load_again(&FoundFile { relative, ..found }, &mut late, self.received_us)?;
        late.settle();
        Ok(())
    }
}

/// Landings that wait for the disk while the next files are read.
struct Landings {
    handle: Handle,
    waiting: VecDeque<JoinHandle<Result<(), StorageError>>>,
}

impl Landings {
    /// So many at once: small files wait longer for the disk than they take to be read.
    const MOST: usize = 8;

    fn new(handle: &Handle) -> Self {
        Self { handle: handle.clone(), waiting: VecDeque::new() }
    }

    fn add(&mut self, landing: LandingWriter, sha256: String) -> Result<(), LoadError> {
        self.waiting.push_back(self.handle.spawn(async move { landing.finish(&sha256).await.map(drop) }));
        self.wait_for(Self::MOST)
    }

    /// When it returns everything is durable.
    fn finish(mut self) -> Result<(), LoadError> {
        self.wait_for(0)
    }

    fn wait_for(&mut self, left: usize) -> Result<(), LoadError> {
        while self.waiting.len() > left
            && let Some(first) = self.waiting.pop_front()
        {
            self.handle.block_on(first)??;
        }
        Ok(())
    }
}

/// The landing area as a blocking writer.
struct Landing<'a> {
    writer: LandingWriter,
    handle: &'a Handle,
}

impl io::Write for Landing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.handle.block_on(self.writer.write(bytes.to_vec().into())).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
