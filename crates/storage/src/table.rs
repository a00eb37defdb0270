//! One table of the lake in this process: its writer lock and its newest known states.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use deltalake::logstore::{LogStoreRef, StorageConfig, commit_uri_from_version, default_logstore};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt, path::Path, prefix::PrefixStore};
use url::Url;
use wardlake_core::TableName;

use crate::{
    StorageError,
    fence::Fence,
    location::Location,
    log::{LogFiles, checkpoint_lines, commit_lines, parse_commit},
    state::{Replay, TableState},
};

/// States that stay in memory, with the newest one.
const STATES: usize = 5;

/// Commits that are read side by side.
const PARALLEL_READS: usize = 16;

/// A table's place, lock and states. Shared by all its readers and writers in this process.
#[derive(Debug)]
pub(crate) struct TableHandle {
    pub(crate) name: TableName,
    pub(crate) log_store: LogStoreRef,
    /// Held from the check of the ledger to the end of the commit.
    pub(crate) writer: tokio::sync::Mutex<()>,
    /// The newest state that is known comes last. Those before it are there for readers, who hold epochs while writers go on. Held while
    /// the newest is brought up to date: who asks meanwhile takes what comes out.
    known: tokio::sync::Mutex<VecDeque<Arc<TableState>>>,
    /// The lake's.
    pub(crate) fence: Arc<Fence>,
}

impl TableHandle {
    pub(crate) fn new(location: &Location, name: TableName) -> Result<Self, StorageError> {
        let mut url: Url = location.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend([name.schema(), name.name(), ""]);
        }
        let prefix = Path::from_url_path(url.path())
            .map_err(|error| StorageError::Url { url: url.to_string(), reason: error.to_string() })?;
        let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(Arc::clone(&location.root), prefix));
        let log_store = default_logstore(store, Arc::clone(&location.root), &url, &StorageConfig::default());
        let (writer, known) = Default::default();
        Ok(Self { name, log_store, writer, known, fence: Arc::clone(&location.fence) })
    }

    /// Rooted at the table.
    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        self.log_store.object_store(None)
    }

    /// The newest version by the log's file names alone. Of a table that is known they are counted on from there: a log that a
    /// server writes has thousands of files.
    pub(crate) async fn newest_version(&self) -> Result<Option<u64>, StorageError> {
        let newest = self.known.lock().await.back().cloned();
        if let Some(newest) = newest
            && self.is_current(&newest).await?
        {
            let mut version = newest.version();
            while self.commit_time(version + 1).await?.is_some() {
                version += 1;
            }
            return Ok(Some(version));
        }
        Ok(LogFiles::list(&self.log_store).await?.newest())
    }

    /// The newest state, or `None` if the table does not exist. One look at the log when nothing changed, else one per commit.
    pub(crate) async fn state(&self) -> Result<Option<Arc<TableState>>, StorageError> {
        let mut known = self.known.lock().await;
        if let Some(newest) = known.back().cloned() {
            let (is_current, next) = tokio::join!(self.is_current(&newest), self.follow(&newest));
            if is_current? {
                return match next? {
                    None => Ok(Some(newest)),
                    Some(next) => Ok(Some(keep(&mut known, next))),
                };
            }
        }
        known.clear();
        let newest = self.read(None).await.map_err(missing)?;
        Ok(newest.map(|newest| keep(&mut known, newest)))
    }

    /// The state at a version, if it is in memory and the table still the same.
    pub(crate) async fn known_at(&self, version: u64) -> Result<Option<Arc<TableState>>, StorageError> {
        let (found, newest) = {
            let known = self.known.lock().await;
            (known.iter().find(|state| state.version() == version).cloned(), known.back().cloned())
        };
        if let Some(newest) = newest
            && found.is_some()
            && self.is_current(&newest).await?
        {
            return Ok(found);
        }
        Ok(None)
    }

    /// The state at a version that is not the newest, from memory or the log; `None` if the log does not go back so far.
    pub(crate) async fn state_at(&self, version: u64) -> Result<Option<Arc<TableState>>, StorageError> {
        if let Some(state) = self.known_at(version).await? {
            return Ok(Some(state));
        }
        match self.read(Some(version)).await {
            Ok(state) => Ok(state.map(Arc::new)),
            Err(StorageError::HistoryGone { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the table is still the one that a state is of, and not one made anew under its name.
    async fn is_current(&self, state: &TableState) -> Result<bool, StorageError> {
        let committed_at = state.committed_at();
        Ok(committed_at.is_some() && self.commit_time(state.version()).await? == committed_at)
    }

    /// What others have committed since; `None` if nothing.
    async fn follow(&self, before: &TableState) -> Result<Option<TableState>, StorageError> {
        let mut version = before.version();
        let mut replay = before.replay();
        loop {
            let next = self.log_store.read_commit_entry(version + 1).await;
            let Some(bytes) = next.map_err(StorageError::delta(&self.name))? else { break };
            replay.take(parse_commit(&self.name, version + 1, &bytes)?);
            version += 1;
        }
        if version == before.version() {
            return Ok(None);
        }
        let committed_at = self.commit_time(version).await?;
        replay.state(&self.name, version, committed_at, Some(before)).map(Some)
    }

    /// Reads the state at a version, or the newest one: the last checkpoint before it and the commits since.
    async fn read(&self, version: Option<u64>) -> Result<Option<TableState>, StorageError> {
        let files = LogFiles::list(&self.log_store).await?;
        let Some(version) = version.or(files.newest()) else { return Ok(None) };
        let mut replay = Replay::default();
        let mut first = 0;
        if let Some((checkpoint, parts)) = files.checkpoints.iter().rfind(|(checkpoint, _)| *checkpoint <= version) {
            replay.take(checkpoint_lines(&self.name, &self.log_store, parts).await?);
            first = checkpoint + 1;
        }
        let mut commits = futures::stream::iter(first..=version)
            .map(|version| commit_lines(&self.name, &self.log_store, version))
            .buffered(PARALLEL_READS)
            .boxed();
        while let Some(lines) = commits.try_next().await? {
            replay.take(lines);
        }
        let committed_at = self.commit_time(version).await?;
        replay.state(&self.name, version, committed_at, None).map(Some)
    }

    /// Takes in a commit that was just written here on top of `before`: nobody has to read it back.
    pub(crate) async fn take_in(&self, before: Option<&Arc<TableState>>, version: u64, bytes: &Bytes) {
        let mut known = self.known.lock().await;
        let is_next = match (known.back(), before) {
            (Some(newest), Some(before)) => Arc::ptr_eq(newest, before),
            (None, None) => true,
            // Somebody has read on meanwhile.
            _ => false,
        };
        if !is_next {
            return;
        }
        let mut replay = before.map_or_else(Replay::default, |before| before.replay());
        let Ok(lines) = parse_commit(&self.name, version, bytes) else { return };
        replay.take(lines);
        // What goes wrong here goes wrong for the next reader, who can say so: the commit stands.
        let Ok(committed_at) = self.commit_time(version).await else { return };
        if let Ok(next) = replay.state(&self.name, version, committed_at, before.map(|before| before.as_ref())) {
            keep(&mut known, next);
        }
    }

    /// The library's state of the newest version is read anew when it is next asked for.
    pub(crate) async fn let_go(&self) {
        let mut known = self.known.lock().await;
        if let Some(newest) = known.pop_back() {
            known.push_back(Arc::new(newest.without_delta()));
        }
    }

    /// Forgets what is known: the table was dropped.
    pub(crate) async fn forget(&self) {
        self.known.lock().await.clear();
    }

    /// When the commit file of a version was written; `None` if it is not there.
    pub(crate) async fn commit_time(&self, version: u64) -> Result<Option<DateTime<Utc>>, StorageError> {
        let path = commit_uri_from_version(Some(version));
        match self.store().head(&path).await {
            Ok(meta) => Ok(Some(meta.last_modified)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(StorageError::store("read", path)(error)),
        }
    }
}

/// Of the newest state a commit that is not there is no history that was let go of.
fn missing(error: StorageError) -> StorageError {
    match error {
        StorageError::HistoryGone { table, version } => StorageError::Damaged {
            path: format!("{}/{}/_delta_log/{version:020}.json", table.schema(), table.name()),
            reason: "it is not there".to_owned(),
        },
        other => other,
    }
}

fn keep(known: &mut VecDeque<Arc<TableState>>, newest: TableState) -> Arc<TableState> {
    let newest = Arc::new(newest);
    known.push_back(Arc::clone(&newest));
    while known.len() > STATES {
        known.pop_front();
    }
    newest
}
