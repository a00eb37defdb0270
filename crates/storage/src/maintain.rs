//! Keeping tables in shape: restore an old version, merge small files, delete files nobody can read, checkpoints.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use deltalake::{kernel::Action, protocol::DeltaOperation};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStoreExt, path::Path};
use wardlake_core::TableName;

use crate::{
    Commit, CommitOutcome, HeldRows, Lake, StorageError, TableSnapshot,
    commit::{COMMITS_PER_CHECKPOINT, Change, resets},
    leftovers::{Left, is_unnamed},
    log::LogFiles,
    rewrite::Rewritten,
    state::{DataFile, TableState},
    write::{FileLayout, NewFiles},
};

/// What a vacuum deleted, or would delete.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct VacuumReport {
    /// Files, relative to the table.
    pub files: Vec<String>,
    /// Their bytes.
    pub bytes: u64,
}

/// How old a file that nobody needs has to be before it is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VacuumGrace {
    /// Since it was removed from the table: longer than any read of a version takes.
    pub removed: Duration,
    /// Of a file that no version of the log names, since it was written: longer than any write takes.
    pub unnamed: Duration,
    /// Nobody else could write at the moment of [`Lake::alone_at`]: what no version names and was there then, no earlier pass need have
    /// seen.
    pub is_alone: bool,
}

impl VacuumGrace {
    /// The same for both.
    pub fn both(grace: Duration) -> Self {
        Self { removed: grace, unnamed: grace, is_alone: false }
    }
}

/// Files that are deleted while a writer waits.
const DELETED_AT_ONCE: usize = 256;

/// Which files are merged.
#[derive(Clone, Copy, Debug)]
pub struct OptimizeSpec<'a> {
    /// Bytes of a merged file, at most. Files of half as many and more are left alone.
    pub target_bytes: u64,
    /// Only files alike in size are merged, where there are so many of them: a row is then rewritten a few times, however often its
    /// table is optimised. `None`: all.
    pub alike: Option<usize>,
    /// Readers who look rows up, for whom the new files are read before they are in the table.
    pub held: Option<&'a HeldRows>,
}

impl OptimizeSpec<'static> {
    /// Merges all small files.
    pub fn all(target_bytes: u64) -> Self {
        Self { target_bytes, alike: None, held: None }
    }
}

/// Of files that are merged with their like, the tiny ones are so many times smaller than the target.
const TINY: u64 = 16;

impl Lake {
    /// Makes an old version the newest again, in a new commit. Its ledger comes back too: what was consumed later counts as
    /// not consumed.
    pub async fn restore(
        &self,
        table: &TableName,
        version: u64,
        commit: Commit,
    ) -> Result<CommitOutcome, StorageError> {
        let handle = self.handle(table)?;
        let _writer = handle.writer.lock().await;
        let newest = self.require(table).await?;
        let then = newest.at(version).await?;
        let layout = handle.layout(then.schema(), then.partition_columns(), &commit)?;
        let files = then.data_files();
        let back: Vec<&Arc<DataFile>> = files.iter().filter(|file| newest.state.file(file.path()).is_none()).collect();
        self.require_files(&then, &back).await?;
        // For people: files of other writers may not say how many rows they hold.
        let rows: u64 = back.iter().map(|file| file.rows().unwrap_or_default()).sum();
        let bytes: u64 = back.iter().map(|file| file.bytes()).sum();
        let change = |now: Option<&TableState>| {
            let now = now.filter(|now| now.version() == newest.version());
            let now = now.ok_or_else(|| StorageError::Conflict { table: table.to_string(), attempts: 1 })?;
            let mut actions = handle.relayout(now, &layout)?;
            let gone = now.files().filter(|file| then.state.file(file.path()).is_none());
            actions.extend(gone.map(|file| file.removed(true)));
            actions.extend(back.iter().map(|file| file.added()));
            actions.extend(resets(now, Some(&then.state), &commit.ledger).into_iter().map(Action::Txn));
            Ok(Change { actions, operation: DeltaOperation::Restore { version: Some(version), datetime: None } })
        };
        match handle.finish(handle.commit(&commit, change).await, NewFiles::default()).await? {
            CommitOutcome::Committed { version, .. } => Ok(CommitOutcome::Committed { version, rows, bytes }),
            applied => Ok(applied),
        }
    }

    async fn require_files(&self, then: &TableSnapshot, files: &[&Arc<DataFile>]) -> Result<(), StorageError> {
        let store = then.handle.store();
        let missing = futures::stream::iter(files.iter().map(|file| file.object_path()))
            .map(|path| {
                let store = Arc::clone(&store);
                async move {
                    match store.head(&path).await {
                        Ok(_) => Ok(0),
                        Err(object_store::Error::NotFound { .. }) => Ok(1),
                        Err(error) => Err(StorageError::store("read", path)(error)),
                    }
                }
            })
            .buffer_unordered(16)
            .try_fold(0usize, async |sum, missing| Ok(sum + missing))
            .await?;
        match missing {
            0 => Ok(()),
            files => Err(StorageError::FilesGone { table: then.name().clone(), version: then.version(), files }),
        }
    }

    /// Merges small files of `base`, partition by partition. Rows do not change, and no reader of changes sees it. Others may append
    /// meanwhile. `None` if there was nothing to merge, or others changed what was being merged.
    pub async fn optimize(
        &self,
        session: &SessionState,
        base: &TableSnapshot,
        spec: OptimizeSpec<'_>,
        commit: Commit,
    ) -> Result<Option<CommitOutcome>, StorageError> {
        let bins = bins(base, spec);
        if bins.is_empty() {
            return Ok(None);
        }
        let handle = &base.handle;
        let mut layout = handle.layout(base.schema(), base.partition_columns(), &commit)?;
        // A group is one file: were it split, its parts would be small files again.
        layout.options.target_file_bytes = u64::MAX;
        let operation = DeltaOperation::Optimize { predicate: None, target_size: spec.target_bytes as i64 };
        let files = merged(base, &bins, session, &layout).await?;
        if let Some(held) = spec.held
            && let Err(error) = held.expect(base, &files.adds).await
        {
            files.discard(&handle.store()).await;
            return Err(error);
        }
        let removed = bins.into_iter().flatten().collect();
        let rewritten = Rewritten { removed, files, data_change: false, layout, operation };
        self.exchange(base, rewritten, &commit).await
    }

    /// Leaves of the rows of `base` those of the streams, which are some of them. Rows that others append meanwhile stay, and no reader of
    /// changes takes what is left for news. `None` if others changed what was being trimmed.
    pub async fn trim(
        &self,
        base: &TableSnapshot,
        streams: Vec<SendableRecordBatchStream>,
        commit: Commit,
    ) -> Result<Option<CommitOutcome>, StorageError> {
        let layout = base.handle.layout(base.schema(), base.partition_columns(), &commit)?;
        let files = layout.write(streams).await?;
        let operation = DeltaOperation::Delete { predicate: None };
        let rewritten = Rewritten { removed: base.data_files(), files, data_change: false, layout, operation };
        self.exchange(base, rewritten, &commit).await
    }

    /// Exchanges files of `base` for others. The writer is held up for the commit alone: whatever others appended meanwhile stays, and if
    /// one of the files or the columns are no longer there, nothing is exchanged.
    pub(crate) async fn exchange(
        &self,
        base: &TableSnapshot,
        rewritten: Rewritten,
        commit: &Commit,
    ) -> Result<Option<CommitOutcome>, StorageError> {
        let handle = &base.handle;
        let _writer = handle.writer.lock().await;
        let change = |now: Option<&TableState>| {
            let conflict = || StorageError::Conflict { table: handle.name.to_string(), attempts: 1 };
            let now = now.ok_or_else(conflict)?;
            let are_here = rewritten.removed.iter().all(|file| now.file(file.path()).is_some());
            if !are_here || now.schema() != base.schema() {
                return Err(conflict());
            }
            Ok(Change { actions: rewritten.actions().collect(), operation: rewritten.operation.clone() })
        };
        match handle.commit(commit, change).await {
            Err(StorageError::Conflict { .. }) => {
                rewritten.files.discard(&handle.store()).await;
                Ok(None)
            }
            result => handle.finish(result, rewritten.files).await.map(Some),
        }
    }

    /// Deletes data files that neither the newest version names nor one of `keep_versions`, once they are older than `grace` says, and an
    /// earlier pass saw them that long ago. The writer is held up for moments only.
    pub async fn vacuum(
        &self,
        table: &TableName,
        grace: VacuumGrace,
        keep_versions: &BTreeSet<u64>,
        dry_run: bool,
    ) -> Result<VacuumReport, StorageError> {
        let handle = self.handle(table)?;
        let newest = self.require(table).await?;
        let removed = removed_at(&newest).await?;
        let active: HashSet<String> = newest.files().into_iter().map(|file| file.path).collect();
        let mut kept = active.clone();
        // A version that is left out nobody can read any more.
        let older: Vec<u64> = keep_versions.range(..newest.version()).copied().collect();
        let visit = |then: &TableState| {
            // Of another id is a table that was dropped since.
            if then.metadata().id() == newest.table_id() {
                kept.extend(then.files().map(|file| file.path().to_owned()));
            }
        };
        handle.visit(&older, visit).await?;
        let of_old = paths(kept.difference(&active).map(String::as_str));
        let kept = paths(kept.iter().map(String::as_str));
        let store = handle.store();
        let all: Vec<ObjectMeta> = store.list(None).try_collect().await.map_err(StorageError::store("list", table))?;
        let before =
            |grace: Duration| Utc::now() - chrono::Duration::from_std(grace).unwrap_or(chrono::Duration::MAX / 2);
        let (removed_before, unnamed_before) = (before(grace.removed), before(grace.unnamed));
        let is_unneeded = |object: &ObjectMeta| {
            let is_log = object.location.parts().next().is_some_and(|part| part.as_ref() == "_delta_log");
            !is_log && !kept.contains(&object.location)
        };
        let mut unneeded: Vec<ObjectMeta> = all.into_iter().filter(is_unneeded).collect();
        // The log does not name a file any more that was removed long ago and is of an old version that nobody keeps since.
        let subject = format!("{table}.kept");
        let was_kept = self.names_seen(&subject).await?;
        let is_known = |path: &Path| removed.contains_key(path) || was_kept.contains(&path.to_string());
        let going = unneeded.iter().map(|object| &object.location).filter(|path: &&Path| is_known(path));
        let of_old = of_old.iter().chain(going).map(|path| (path.to_string(), Duration::ZERO)).collect();
        self.seen_before(&subject, of_old, !dry_run).await?;
        let folder = self.local_path().map(|lake| lake.join(table.schema()).join(table.name()));
        let seen_grace = |path: &Path| match &folder {
            Some(folder) => self.seen_grace(grace, &folder.join(path.as_ref())),
            None => grace.unnamed,
        };
        let names = unneeded.iter().map(|object| {
            let grace = if is_known(&object.location) { grace.removed } else { seen_grace(&object.location) };
            (object.location.to_string(), grace)
        });
        let seen = self.seen_before(&format!("{table}.files"), names.collect(), !dry_run).await?;
        let seen: HashSet<String> = seen.into_iter().collect();
        unneeded.retain(|object| {
            let is_old = match removed.get(&object.location) {
                Some(at) => *at < removed_before,
                None if was_kept.contains(&object.location.to_string()) => object.last_modified < removed_before,
                None => object.last_modified < unnamed_before,
            };
            is_old && seen.contains(&object.location.to_string())
        });
        let mut report = VacuumReport::default();
        for some in unneeded.chunks(DELETED_AT_ONCE) {
            let _writer = handle.writer.lock().await;
            // A restore may have brought some of them back.
            let active = self.require(table).await?.files();
            let active = paths(active.iter().map(|file| file.path.as_str()));
            for object in some.iter().filter(|object| !active.contains(&object.location)) {
                if !dry_run {
                    store.delete(&object.location).await.map_err(StorageError::store("delete", &object.location))?;
                }
                report.bytes += object.size;
                report.files.push(object.location.to_string());
            }
        }
        if let Some(folder) = folder {
            let subject = format!("{table}.leftovers");
            let left = Left { subject: &subject, folders: vec![folder.clone()], is_left: is_unnamed };
            self.remove_left(&folder, left, grace, dry_run, &mut report).await?;
        }
        Ok(report)
    }

    /// Writes a checkpoint of the newest version if the last one lies too many commits back; whether it did.
    pub async fn checkpoint_if_due(&self, table: &TableName) -> Result<bool, StorageError> {
        let handle = self.handle(table)?;
        let files = LogFiles::list(&handle.log_store).await?;
        let last = files.checkpoints.last().map_or(0, |(version, _)| *version);
        let is_due = files.newest().is_some_and(|newest| newest >= last + COMMITS_PER_CHECKPOINT);
        if is_due {
            handle.checkpoint().await?;
        }
        Ok(is_due)
    }

    /// Writes a checkpoint of the newest version. Commits write one now and then by themselves.
    pub async fn checkpoint(&self, table: &TableName) -> Result<(), StorageError> {
        self.handle(table)?.checkpoint().await
    }
}

fn paths<'p>(paths: impl Iterator<Item = &'p str>) -> HashSet<Path> {
    paths.map(|path| Path::parse(path).unwrap_or_else(|_| Path::from(path))).collect()
}

/// The files that the log says were removed, and when; those of long ago it does not name any more.
async fn removed_at(newest: &TableSnapshot) -> Result<HashMap<Path, DateTime<Utc>>, StorageError> {
    let failed = || StorageError::delta(newest.name());
    let log_store = &newest.handle.log_store;
    let tombstones = newest.delta().await?.snapshot().map_err(failed())?.all_tombstones(log_store.as_ref());
    let found = tombstones.map_ok(|tombstone| {
        let path = tombstone.path();
        let path = Path::parse(path.as_ref()).unwrap_or_else(|_| Path::from(path.as_ref()));
        let at = tombstone.deletion_timestamp().and_then(DateTime::from_timestamp_millis);
        // A removal without its time counts as one of just now.
        (path, at.unwrap_or_else(Utc::now))
    });
    found.try_collect().await.map_err(failed())
}

/// The value of each partition column.
type Partition = BTreeMap<String, Option<String>>;

/// Groups of at least two small files of one partition, each of one target file at most.
fn bins(base: &TableSnapshot, spec: OptimizeSpec<'_>) -> Vec<Vec<Arc<DataFile>>> {
    let mut alike: HashMap<(Partition, bool), Vec<Arc<DataFile>>> = HashMap::new();
    for file in base.data_files().into_iter().filter(|file| file.bytes() < spec.target_bytes / 2) {
        let is_tiny = spec.alike.is_some() && file.bytes() < spec.target_bytes / TINY;
        alike.entry((file.partition(), is_tiny)).or_default().push(file);
    }
    let mut bins = Vec::new();
    for mut files in alike.into_values().filter(|files| files.len() >= spec.alike.unwrap_or_default()) {
        files.sort_by(|a, b| (a.modified_at_ms(), a.path()).cmp(&(b.modified_at_ms(), b.path())));
        let (mut bin, mut sum) = (Vec::new(), 0);
        for file in files {
            let size = file.bytes();
            if sum + size > spec.target_bytes && !bin.is_empty() {
                bins.push(std::mem::take(&mut bin));
                sum = 0;
            }
            sum += size;
            bin.push(file);
        }
        bins.push(bin);
    }
    bins.retain(|bin| bin.len() > 1);
    bins
}

/// The rows of each bin in a file of their own.
async fn merged(
    base: &TableSnapshot,
    bins: &[Vec<Arc<DataFile>>],
    session: &SessionState,
    layout: &FileLayout,
) -> Result<NewFiles, StorageError> {
    let mut files = NewFiles::default();
    for bin in bins {
        let rows = base.scan(session, "rows", Some(bin), false).await?;
        let stream = rows.execute_stream().await.map_err(StorageError::query(base.name()))?;
        match layout.write(vec![stream]).await {
            Ok(written) => files.adds.extend(written.adds),
            Err(error) => {
                files.discard(&layout.store).await;
                return Err(error);
            }
        }
    }
    Ok(files)
}
