//! One table of the lake in this process: its writer lock and its newest known state.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use deltalake::{
    DeltaTable, DeltaTableError,
    logstore::{LogStoreRef, StorageConfig, commit_uri_from_version, default_logstore},
};
use object_store::{ObjectStore, ObjectStoreExt, path::Path, prefix::PrefixStore};
use url::Url;
use wardlake_core::TableName;

use crate::{
    StorageError,
    head::Head,
    location::Location,
    log::{Ledger, LogFiles},
};

/// Commits that are taken into a state before it is read anew: each adds a batch of a row or two with all its statistics to the memory, some
/// 25 KB, and every later step copies them all. What is read anew is one batch up to the last checkpoint.
const COMMITS_PER_OPEN: u64 = 64;

/// States before the newest one that stay in memory.
const EARLIER_STATES: usize = 2;

/// A table's place, lock and cache. Shared by all its readers and writers in this process.
#[derive(Debug)]
pub(crate) struct TableHandle {
    pub(crate) name: TableName,
    pub(crate) log_store: LogStoreRef,
    /// Held from the check of the ledger to the end of the commit.
    pub(crate) writer: tokio::sync::Mutex<()>,
    cached: Mutex<Option<Cached>>,
    /// Held while the state is brought up to date: who asks meanwhile takes what comes out.
    refreshing: tokio::sync::Mutex<()>,
    /// The newest version by its commits, for those who need no full state.
    pub(crate) known_head: tokio::sync::Mutex<Option<Head>>,
}

#[derive(Debug, Clone)]
struct Cached {
    table: DeltaTable,
    /// When the commit file of this version was written: tells a table from one created anew under its name.
    committed_at: Option<DateTime<Utc>>,
    /// Commits it took in since it was read.
    commits: u64,
    ledger: Option<Ledger>,
    /// States of the same table before this one: readers hold epochs while writers go on.
    earlier: VecDeque<DeltaTable>,
}

impl Cached {
    /// The states before the next one.
    fn with_itself(&self) -> VecDeque<DeltaTable> {
        let mut earlier = self.earlier.clone();
        earlier.push_back(self.table.clone());
        if earlier.len() > EARLIER_STATES {
            earlier.pop_front();
        }
        earlier
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
        Ok(Self {
            name,
            log_store,
            writer: tokio::sync::Mutex::default(),
            cached: Mutex::default(),
            refreshing: tokio::sync::Mutex::default(),
            known_head: tokio::sync::Mutex::default(),
        })
    }

    /// Rooted at the table.
    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        self.log_store.object_store(None)
    }

    /// The newest version by the log's file names alone. Of a table that is known they are counted on from there: a log that a
    /// server writes has thousands of files.
    pub(crate) async fn newest_version(&self) -> Result<Option<u64>, StorageError> {
        let cached = self.cached().and_then(|cached| Some((cached.table.version()?, cached.committed_at)));
        let head = self.known_head.try_lock().ok().and_then(|head| Some(head.as_ref()?.place()));
        if let Some((mut version, committed_at)) = cached.max(head)
            && committed_at.is_some()
            && self.commit_time(version).await? == committed_at
        {
            while self.commit_time(version + 1).await?.is_some() {
                version += 1;
            }
            return Ok(Some(version));
        }
        Ok(LogFiles::list(&self.log_store).await?.newest())
    }

    /// The newest state, or `None` if the table does not exist. One file lookup when nothing changed.
    pub(crate) async fn refresh(&self) -> Result<Option<DeltaTable>, StorageError> {
        let _one = self.refreshing.lock().await;
        let Some(cached) = self.cached() else { return self.open().await };
        let version = cached.table.version().unwrap_or_default();
        let (current, next) = tokio::join!(self.commit_time(version), self.commit_time(version + 1));
        if current? != cached.committed_at {
            return self.open().await;
        }
        if next?.is_none() {
            return Ok(Some(cached.table));
        }
        if let Some(newest) = self.newest_version().await?
            && let Some(table) = self.step(&cached, newest).await?
        {
            return Ok(Some(table));
        }
        self.open().await
    }

    /// The state at a version that is not before the one in memory, as an epoch that a server has just published. `None` if it cannot be
    /// had by a step forward.
    pub(crate) async fn advance_to(&self, version: u64) -> Result<Option<DeltaTable>, StorageError> {
        let _one = self.refreshing.lock().await;
        let Some(cached) = self.cached() else { return Ok(None) };
        let known = cached.table.version().unwrap_or_default();
        if version < known || self.commit_time(known).await? != cached.committed_at {
            return Ok(None);
        }
        if version == known {
            return Ok(Some(cached.table));
        }
        match self.commit_time(version).await? {
            Some(_) => self.step(&cached, version).await,
            None => Ok(None),
        }
    }

    /// The state that is in memory is read anew, as compact as the log allows.
    pub(crate) async fn reopen(&self) -> Result<(), StorageError> {
        let _one = self.refreshing.lock().await;
        if let Some(cached) = self.cached() {
            self.open_at(&cached, cached.table.version().unwrap_or_default()).await?;
        }
        Ok(())
    }

    /// Brings the state in memory forward to a version; `None` if it cannot be had that way.
    async fn step(&self, cached: &Cached, to: u64) -> Result<Option<DeltaTable>, StorageError> {
        let before = cached.table.version().unwrap_or_default();
        let commits = cached.commits + to.saturating_sub(before);
        let mut table = cached.table.clone();
        if commits > COMMITS_PER_OPEN || table.update_incremental(Some(to)).await.is_err() {
            return Ok(self.open_at(cached, to).await.unwrap_or_default());
        }
        let ledger = match &cached.ledger {
            Some(ledger) => ledger.clone().advance(&self.name, &self.log_store, before + 1, to).await.ok(),
            None => None,
        };
        let (state, earlier) = (table.clone(), cached.with_itself());
        self.keep(Cached { table, committed_at: None, commits, ledger, earlier }).await?;
        Ok(Some(state))
    }

    /// Reads the newest state.
    async fn open(&self) -> Result<Option<DeltaTable>, StorageError> {
        if self.newest_version().await?.is_none() {
            self.forget();
            return Ok(None);
        }
        self.load(None, VecDeque::new()).await
    }

    /// Reads the state at a version; others in memory stay there as earlier ones.
    async fn open_at(&self, cached: &Cached, version: u64) -> Result<Option<DeltaTable>, StorageError> {
        let is_same = cached.table.version() == Some(version);
        self.load(Some(version), if is_same { cached.earlier.clone() } else { cached.with_itself() }).await
    }

    async fn load(
        &self,
        version: Option<u64>,
        earlier: VecDeque<DeltaTable>,
    ) -> Result<Option<DeltaTable>, StorageError> {
        let mut table = DeltaTable::new(Arc::clone(&self.log_store));
        let loaded = match version {
            Some(version) => table.load_version(version).await,
            None => table.load().await,
        };
        match loaded {
            Ok(()) => {}
            Err(DeltaTableError::NotATable(_)) => return Ok(None),
            Err(error) => return Err(StorageError::delta(&self.name)(error)),
        }
        let state = table.clone();
        self.keep(Cached { table, committed_at: None, commits: 0, ledger: None, earlier }).await?;
        Ok(Some(state))
    }

    /// Keeps a state in memory.
    async fn keep(&self, mut state: Cached) -> Result<(), StorageError> {
        state.committed_at = self.commit_time(state.table.version().unwrap_or_default()).await?;
        *self.lock_cache() = Some(state);
        Ok(())
    }

    pub(crate) async fn commit_time(&self, version: u64) -> Result<Option<DateTime<Utc>>, StorageError> {
        let path = commit_uri_from_version(Some(version));
        match self.store().head(&path).await {
            Ok(meta) => Ok(Some(meta.last_modified)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(StorageError::store("read", path)(error)),
        }
    }

    /// What the table has consumed up to `version`.
    pub(crate) async fn ledger(&self, version: u64) -> Result<Ledger, StorageError> {
        let cached = self.cached().filter(|cached| cached.table.version() == Some(version));
        if let Some(ledger) = cached.as_ref().and_then(|cached| cached.ledger.clone()) {
            return Ok(ledger);
        }
        let ledger = Ledger::load(&self.name, &self.log_store, version).await?;
        if let Some(cached) = self.lock_cache().as_mut().filter(|cached| cached.table.version() == Some(version)) {
            cached.ledger = Some(ledger.clone());
        }
        Ok(ledger)
    }

    /// An earlier state, if it is in memory. Asked behind a refresh.
    pub(crate) fn earlier(&self, version: u64) -> Option<DeltaTable> {
        self.lock_cache().as_ref()?.earlier.iter().find(|state| state.version() == Some(version)).cloned()
    }

    /// Forgets the state in memory: the table was dropped.
    pub(crate) fn forget(&self) {
        *self.lock_cache() = None;
    }

    fn cached(&self) -> Option<Cached> {
        self.lock_cache().clone()
    }

    fn lock_cache(&self) -> std::sync::MutexGuard<'_, Option<Cached>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch};
    use datafusion::physical_plan::memory::MemoryStream;

    use super::*;
    use crate::{Commit, Lake};

    /// A server commits several times a second and reads the full state now and then.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_state_stays_compact_however_many_commits_it_has_taken_in() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
        let name: TableName = "s.t".parse().unwrap();
        let handle = lake.handle(&name).unwrap();
        let commits = || handle.cached().map(|cached| cached.commits);
        for n in 0..150 {
            let rows = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![n])) as _)]).unwrap();
            let stream = MemoryStream::try_new(vec![rows.clone()], rows.schema(), None).unwrap();
            let commit = Commit { is_frequent: true, ..Commit::default() };
            lake.append(&name, vec![Box::pin(stream)], commit).await.unwrap();
            if n % 10 == 9 {
                let state = lake.require(&name).await.unwrap();
                assert_eq!((state.version(), state.files().len()), (n as u64, n as usize + 1));
                assert!(commits().is_some_and(|commits| commits <= COMMITS_PER_OPEN), "{:?}", commits());
            }
        }
        assert!(commits() > Some(0));
        lake.checkpoint(&name).await.unwrap();
        assert_eq!(commits(), Some(0));
        assert_eq!(lake.require(&name).await.unwrap().files().len(), 150);
    }
}
