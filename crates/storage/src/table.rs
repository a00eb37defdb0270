//! One table of the lake in this process: its writer lock and its newest known states.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

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

/// Whoever has followed a log within so long finds every entry behind what it knows: those that a cleaning deletes were seen an hour before
/// ([`crate::Lake::clean_log`]). Behind a version that an epoch still names, a log may have a gap.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(10 * 60);

/// A version so close behind one that is known is made from it, and not read anew from a checkpoint.
const NEAR: u64 = 100;

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
    /// When the newest state that is known was seen to be the log's end.
    followed: Mutex<Option<Followed>>,
    /// The version of the last checkpoint that is known.
    checkpointed: Mutex<Option<u64>>,
    /// The lake's.
    pub(crate) fence: Arc<Fence>,
}

/// A moment by both clocks: that of the process stands still with its machine, and the machine's may jump.
#[derive(Clone, Copy, Debug)]
struct Followed {
    here: Instant,
    at: DateTime<Utc>,
}

impl Followed {
    fn now() -> Self {
        Self { here: Instant::now(), at: Utc::now() }
    }

    fn is_lately(self) -> bool {
        let age = (Utc::now() - self.at).abs().to_std().unwrap_or(Duration::MAX);
        self.here.elapsed().max(age) < FOLLOWED_WITHIN
    }
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
        let (writer, known, followed, checkpointed) = Default::default();
        Ok(Self { name, log_store, writer, known, followed, checkpointed, fence: Arc::clone(&location.fence) })
    }

    /// Rooted at the table.
    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        self.log_store.object_store(None)
    }

    /// The newest version by the log's file names alone. Of a table that is known they are counted on from there: a log that a
    /// server writes has thousands of files.
    pub(crate) async fn newest_version(&self) -> Result<Option<u64>, StorageError> {
        let newest = self.known.lock().await.back().cloned();
        if newest.is_some() && !self.has_followed() {
            return Ok(self.state().await?.map(|newest| newest.version()));
        }
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
        let now = Followed::now();
        if let Some(newest) = known.back().cloned() {
            let (is_current, next) = tokio::join!(self.is_current(&newest), self.follow(&newest));
            if is_current? {
                let newest = match next? {
                    None => newest,
                    Some(next) => keep(&mut known, next),
                };
                if self.has_followed() || LogFiles::list(&self.log_store).await?.newest() <= Some(newest.version()) {
                    self.note_followed(now);
                    return Ok(Some(newest));
                }
            }
        }
        known.clear();
        let newest = self.read(None).await.map_err(missing)?;
        self.note_followed(now);
        Ok(newest.map(|newest| keep(&mut known, newest)))
    }

    /// Whether the newest state that is known was the log's end a moment ago.
    fn has_followed(&self) -> bool {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(Followed::is_lately)
    }

    fn note_followed(&self, now: Followed) {
        *self.followed.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
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

    /// The state at a version, if it is in memory and nobody is bringing that up to date. Whether the table is still the same is not looked at.
    pub(crate) fn in_memory(&self, version: u64) -> Option<Arc<TableState>> {
        let known = self.known.try_lock().ok()?;
        known.iter().rfind(|state| state.version() == version).cloned()
    }

    /// How many log entries a reader of a version reads behind the checkpoint, as far as checkpoints are known.
    pub(crate) fn commits_since_checkpoint(&self, version: u64) -> u64 {
        let checkpointed = *self.checkpointed.lock().unwrap_or_else(PoisonError::into_inner);
        // Of a later one it is not known which came before.
        checkpointed.and_then(|checkpoint| version.checked_sub(checkpoint)).unwrap_or(version + 1)
    }

    /// Notes that this is the last checkpoint.
    pub(crate) fn note_checkpoint(&self, version: u64) {
        *self.checkpointed.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
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

    /// Shows `visit` the state at each of these versions, which are in order; those are left out whose log entries are gone. What lies close
    /// together is read once: of a server's waves thousands are kept until they are thinned, and each by itself takes a list of the log.
    pub(crate) async fn visit(
        &self,
        versions: &[u64],
        mut visit: impl FnMut(&TableState) + Send,
    ) -> Result<(), StorageError> {
        let mut last: Option<Arc<TableState>> = None;
        for version in versions.iter().copied() {
            let mut state = match &last {
                Some(before) if version - before.version() <= NEAR => self.forward(before, version).await?,
                _ => None,
            };
            if state.is_none() {
                state = self.state_at(version).await?;
            }
            let Some(state) = state else { continue };
            visit(&state);
            last = Some(state);
        }
        Ok(())
    }

    /// The state at a version behind `before`; `None` if the log does not have all between them.
    async fn forward(&self, before: &TableState, version: u64) -> Result<Option<Arc<TableState>>, StorageError> {
        let (replay, reached) = self.replayed(before, version).await?;
        if reached < version {
            return Ok(None);
        }
        replay.state(&self.name, version, None, Some(before)).map(|state| Some(Arc::new(state)))
    }

    /// Whether the table is still the one that a state is of, and not one made anew under its name.
    async fn is_current(&self, state: &TableState) -> Result<bool, StorageError> {
        let committed_at = state.committed_at();
        Ok(committed_at.is_some() && self.commit_time(state.version()).await? == committed_at)
    }

    /// What others have committed since; `None` if nothing.
    async fn follow(&self, before: &TableState) -> Result<Option<TableState>, StorageError> {
        let (replay, version) = self.replayed(before, u64::MAX).await?;
        if version == before.version() {
            return Ok(None);
        }
        let committed_at = self.commit_time(version).await?;
        replay.state(&self.name, version, committed_at, Some(before)).map(Some)
    }

    /// The commits behind `before` up to `last`, as far as the log has them without a gap, and the version that was reached.
    async fn replayed(&self, before: &TableState, last: u64) -> Result<(Replay, u64), StorageError> {
        let (mut replay, mut version) = (before.replay(), before.version());
        while version < last {
            let next = self.log_store.read_commit_entry(version + 1).await;
            let Some(bytes) = next.map_err(StorageError::delta(&self.name))? else { break };
            replay.take(parse_commit(&self.name, version + 1, &bytes)?);
            version += 1;
        }
        Ok((replay, version))
    }

    /// Reads the state at a version, or the newest one: the last checkpoint before it and the commits since.
    async fn read(&self, version: Option<u64>) -> Result<Option<TableState>, StorageError> {
        let files = LogFiles::list(&self.log_store).await?;
        if let Some((checkpoint, _)) = files.checkpoints.last().filter(|_| version.is_none()) {
            self.note_checkpoint(*checkpoint);
        }
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

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch};
    use datafusion::physical_plan::memory::MemoryStream;

    use super::*;
    use crate::{Commit, Lake, LogReaders};

    async fn append(lake: &Lake, name: &TableName) -> u64 {
        let rows = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1])) as _)]).unwrap();
        let stream = MemoryStream::try_new(vec![rows.clone()], rows.schema(), None).unwrap();
        lake.append(name, vec![Box::pin(stream)], Commit::default()).await.unwrap().version()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn versions_are_visited_in_order_and_those_that_are_gone_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
        let name: TableName = "s.t".parse().unwrap();
        for _ in 0..9 {
            append(&lake, &name).await;
        }
        lake.checkpoint(&name).await.unwrap();
        append(&lake, &name).await;
        let other = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
        let visited = async |versions: &[u64]| {
            let mut seen = Vec::new();
            let handle = other.handle(&name).unwrap();
            handle.visit(versions, |state| seen.push((state.version(), state.files().count()))).await.unwrap();
            seen
        };
        assert_eq!(visited(&[0, 2, 3, 9]).await, [(0, 1), (2, 3), (3, 4), (9, 10)]);
        std::fs::remove_file(folder.path().join("s/t/_delta_log/00000000000000000003.json")).unwrap();
        assert_eq!(visited(&[0, 2, 3, 5, 8, 9]).await, [(0, 1), (2, 3), (8, 9), (9, 10)]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_has_not_looked_for_long_commits_into_no_gap_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().to_string_lossy().into_owned();
        let (busy, idle) = (Lake::open(&url).await.unwrap(), Lake::open(&url).await.unwrap());
        let name: TableName = "s.t".parse().unwrap();
        append(&busy, &name).await;
        append(&busy, &name).await;
        assert_eq!(idle.require(&name).await.unwrap().version(), 1);
        for _ in 0..3 {
            append(&busy, &name).await;
        }
        busy.checkpoint(&name).await.unwrap();
        assert_eq!(append(&busy, &name).await, 5);
        // An epoch names the version that the other one knows.
        let readers = LogReaders { versions: [1].into(), changes_since: None };
        let cleaned = busy.clean_log(&name, &readers, Duration::ZERO, false).await.unwrap();
        assert_eq!(cleaned.files.len(), 2, "{cleaned:?}");
        *idle.handle(&name).unwrap().followed.lock().unwrap() = None;
        assert_eq!(idle.newest_version(&name).await.unwrap(), Some(5));
        *idle.handle(&name).unwrap().followed.lock().unwrap() = None;
        assert_eq!(append(&idle, &name).await, 6);
        assert_eq!(busy.require(&name).await.unwrap().files().len(), 7);
    }
}
