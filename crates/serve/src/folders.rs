//! Files of the sources, picked up as they appear: at once when they are renamed into place or closed by their writer, or when
//! nobody has written to them for a while.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind, RenameMode},
};
use tokio::sync::{Notify, mpsc, watch};
use wardlake_core::TableName;
use wardlake_load::{IngestOptions, ReadyCheck, SourceTable};
use wardlake_records::{EventSink, RunEvent};

use crate::{ServeError, Server};

/// A file nobody has been heard to finish is taken when it has not changed for so long.
pub const SETTLED: Duration = Duration::from_secs(2);
/// How often unfinished files are looked at again, and folders that may not tell of their files.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Watches the folders into which extracts come.
pub(crate) struct Files {
    server: Arc<Server>,
    tables: Vec<SourceTable>,
    project_dir: PathBuf,
    threads: usize,
    /// Tables that have a new version.
    moved: mpsc::UnboundedSender<(TableName, u64)>,
    heard: Arc<Heard>,
    /// Tables whose folder is watched and was looked at since.
    looked_at: Mutex<BTreeSet<String>>,
}

/// What the operating system told.
#[derive(Debug, Default)]
struct Heard {
    /// Paths that something happened to, since they were last looked at.
    changed: Mutex<BTreeSet<PathBuf>>,
    /// Files whose writer was heard to finish them, and when they had last been changed then.
    finished: Mutex<HashMap<PathBuf, SystemTime>>,
    news: Notify,
}

impl Heard {
    fn take(&self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn hear(&self, event: notify::Event) {
        let is_finished = matches!(
            event.kind,
            EventKind::Access(AccessKind::Close(AccessMode::Write))
                | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both))
        );
        let is_change = is_finished || matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_));
        if !is_change {
            return;
        }
        if is_finished {
            let mut finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
            for path in &event.paths {
                if let Ok(modified) = path.metadata().and_then(|metadata| metadata.modified()) {
                    finished.insert(path.clone(), modified);
                }
            }
        }
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).extend(event.paths);
        self.news.notify_one();
    }

    /// Whether a file is complete as far as can be told.
    fn is_ready(&self, path: &Path, modified: SystemTime) -> bool {
        let finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        finished.get(path) == Some(&modified)
            || SystemTime::now().duration_since(modified).is_ok_and(|age| age >= SETTLED)
    }
}

impl Files {
    pub(crate) fn new(
        server: Arc<Server>,
        tables: Vec<SourceTable>,
        project_dir: PathBuf,
        threads: usize,
        moved: mpsc::UnboundedSender<(TableName, u64)>,
    ) -> Self {
        let tables = tables.into_iter().filter(|source| source.folder().is_some()).collect();
        Self { server, tables, project_dir, threads, moved, heard: Arc::default(), looked_at: Mutex::default() }
    }

    /// Loads what is there.
    pub(crate) async fn load_all(&self) {
        self.load(&self.tables.iter().map(|source| source.label.as_str()).collect()).await;
    }

    /// Loads what comes until the server stops.
    pub(crate) async fn run(self, mut stopped: watch::Receiver<bool>) -> Result<(), ServeError> {
        let mut watched = BTreeSet::new();
        let mut watcher = self.watcher()?;
        let mut waiting: BTreeSet<PathBuf> = BTreeSet::new();
        while !*stopped.borrow() {
            tokio::select! {
                () = self.server.readiness.room() => {}
                _ = stopped.wait_for(|is_stopped| *is_stopped) => break,
            }
            // Nothing is heard of what happened before a folder was watched: what lies there is looked at once.
            waiting.extend(self.watch_folders(&mut watcher, &mut watched));
            waiting.extend(self.heard.take());
            let mut labels = BTreeSet::new();
            waiting.retain(|path| {
                let mut is_unfinished = false;
                for source in self.tables.iter().filter(|source| source.holds(path)) {
                    match path.metadata().and_then(|metadata| metadata.modified()) {
                        Ok(modified) if !self.heard.is_ready(path, modified) => is_unfinished = true,
                        Ok(_) => {
                            labels.insert(source.label.as_str());
                        }
                        // It is gone again.
                        Err(_) => {}
                    }
                }
                is_unfinished
            });
            if !labels.is_empty() {
                self.load(&labels).await;
            }
            tokio::select! {
                () = self.heard.news.notified() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                _ = stopped.changed() => {}
            }
        }
        Ok(())
    }

    fn watcher(&self) -> Result<RecommendedWatcher, ServeError> {
        let heard = Arc::clone(&self.heard);
        let hear = move |event: notify::Result<notify::Event>| {
            if let Ok(event) = event {
                heard.hear(event);
            }
        };
        notify::recommended_watcher(hear).map_err(|error| ServeError::Watch { reason: error.to_string() })
    }

    /// Watches every root that exists and is not watched yet; the files that lie there.
    fn watch_folders(&self, watcher: &mut RecommendedWatcher, watched: &mut BTreeSet<PathBuf>) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for source in &self.tables {
            let Some(root) = source.folder() else { continue };
            if !watched.contains(&root) && root.is_dir() && watcher.watch(&root, RecursiveMode::Recursive).is_ok() {
                watched.insert(root.clone());
            } else if !watched.contains(&root) {
                continue;
            }
            if self.looked_at.lock().unwrap_or_else(PoisonError::into_inner).insert(source.label.clone()) {
                // A folder that cannot be listed is told of when its files are loaded.
                let found = wardlake_connect::discover(&source.table, &source.base).unwrap_or_default();
                files.extend(found.into_iter().map(|file| file.path));
            }
        }
        files
    }

    async fn load(&self, labels: &BTreeSet<&str>) {
        let workspace = &self.server.workspace;
        let existing: Vec<&SourceTable> = self
            .tables
            .iter()
            .filter(|source| labels.contains(source.label.as_str()))
            .filter(|source| source.folder().is_some_and(|folder| folder.is_dir()))
            .collect();
        if existing.is_empty() {
            return;
        }
        let before = self.versions(&existing).await;
        let heard = Arc::clone(&self.heard);
        let options = IngestOptions {
            select: existing.iter().map(|source| format!("source:{}", source.label)).collect(),
            exclude: Vec::new(),
            threads: self.threads,
            project_dir: self.project_dir.clone(),
            ready: Some(ReadyCheck(Arc::new(move |file| heard.is_ready(&file.path, file.modified.into())))),
            reload: false,
        };
        let (events, mut told) = EventSink::channel();
        let quiet = Arc::new(workspace.another_run(events));
        let loaded = wardlake_load::ingest(quiet, options).await;
        while let Ok(event) = told.try_recv() {
            if matches!(event, RunEvent::FileLoaded { .. }) {
                workspace.events.tell(event);
            }
        }
        match loaded {
            Ok(summary) => {
                for failed in summary.results.iter().filter(|result| result.status.is_failure()) {
                    let reason = failed.message.as_deref().unwrap_or("failed");
                    workspace.events.warn(format!("{}: {reason}", failed.label));
                }
                if let Some(epoch) = summary.epoch {
                    self.server.show(epoch);
                }
            }
            Err(error) => workspace.events.warn(format!("files could not be loaded: {error}")),
        }
        for (table, version) in self.versions(&existing).await {
            if before.get(&table) != Some(&version) {
                // The waves have ended when nobody receives: the next start finds what was loaded.
                let _ = self.moved.send((table, version));
            }
        }
    }

    async fn versions(&self, tables: &[&SourceTable]) -> BTreeMap<TableName, u64> {
        let mut versions = BTreeMap::new();
        for source in tables {
            match self.server.workspace.lake.newest_version(&source.name).await {
                Ok(version) => versions.extend(version.map(|version| (source.name.clone(), version))),
                // Without the version before, a table counts as one that moved, without the one after as one that did not.
                Err(error) => {
                    let text =
                        format!("{}: what its files bring may show with the next one only: {error}", source.label);
                    self.server.workspace.events.warn(text);
                }
            }
        }
        versions
    }
}
