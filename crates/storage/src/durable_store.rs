//! A local object store that survives a power cut: a file is synced before its name appears, and the folder after it.
//!
//! `object_store`'s `LocalFileSystem` never syncs, so a commit could be named while its bytes, or those of the data files it
//! names, are still in memory only. Here:
//!
//! - Small writes (commits, checkpoints, epochs, views) go to a temporary file, which is synced and then linked or renamed.
//! - Data files are many and nobody reads them before a commit names them. They are noted when written and synced together, a
//!   few at a time, when the next file of the same table's `_delta_log` is written: no commit is ever visible before the data
//!   it names is on disk.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File},
    io::Write,
    ops::Range,
    path::{Path as FsPath, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart, local::LocalFileSystem,
    path::Path,
};

use crate::disk::{DiskError, io_within};

const STORE: &str = "local";
/// Syncs at once: enough to let the disk merge its flushes, few enough to leave it to others.
const PARALLEL_SYNCS: usize = 8;

/// The whole local file system, rooted at `/`, with durable writes.
#[derive(Debug, Clone)]
pub(crate) struct DurableStore {
    inner: Arc<LocalFileSystem>,
    unsynced: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl DurableStore {
    pub(crate) fn new() -> Self {
        Self { inner: Arc::new(LocalFileSystem::new()), unsynced: Arc::default() }
    }

    fn note(&self, path: PathBuf) {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner).insert(path);
    }

    /// Syncs every noted file below `folder`, and the folders that hold them. They stay noted until that is done: it may be broken off, and
    /// a commit beside this one, or beside a checkpoint, is not to come before the files that are being synced here.
    async fn sync_below(&self, folder: &FsPath) -> Result<()> {
        let files: Vec<PathBuf> = {
            let unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
            unsynced.iter().filter(|path| path.starts_with(folder)).cloned().collect()
        };
        let folders: BTreeSet<PathBuf> = files
            .iter()
            .flat_map(|file| file.ancestors().skip(1).take_while(|ancestor| ancestor.starts_with(folder)))
            .map(FsPath::to_path_buf)
            .collect();
        sync_all(files.iter().cloned().chain(folders).collect()).await?;
        let mut unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        files.iter().for_each(|file| {
            unsynced.remove(file);
        });
        Ok(())
    }
}

/// Files of a table's data, as opposed to its log and to everything else in a lake.
fn is_data_file(path: &Path) -> bool {
    path.as_ref().ends_with(".parquet") && !path.as_ref().contains("/_delta_log/")
}

/// `/lake/schema/table` for `/lake/schema/table/_delta_log/…`.
fn table_of_log_file(path: &FsPath) -> Option<&FsPath> {
    let log = path.parent()?;
    (log.file_name()? == "_delta_log").then(|| log.parent()).flatten()
}

fn io_error(source: std::io::Error, path: &FsPath) -> Error {
    let kind = source.kind();
    let source = Box::new(DiskError::new("write", path, source));
    let path = path.display().to_string();
    match kind {
        std::io::ErrorKind::NotFound => Error::NotFound { path, source },
        std::io::ErrorKind::AlreadyExists => Error::AlreadyExists { path, source },
        std::io::ErrorKind::PermissionDenied => Error::PermissionDenied { path, source },
        _ => Error::Generic { store: STORE, source },
    }
}

/// The inner store does not always name the file, and hides what the system said.
fn named(path: &FsPath) -> impl Fn(Error) -> Error + use<> {
    let path = path.to_path_buf();
    move |error| match &error {
        Error::Generic { .. } => io_within(&error).map(|source| io_error(source, &path)).unwrap_or(error),
        _ => error,
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(source) => Err(Error::JoinError { source }),
    }
}

async fn sync_all(paths: Vec<PathBuf>) -> Result<()> {
    futures::stream::iter(paths)
        .map(|path| blocking(move || sync(&path)))
        .buffer_unordered(PARALLEL_SYNCS)
        .try_collect()
        .await
}

/// A file that is gone (another task deleted it) needs no sync.
fn sync(path: &FsPath) -> Result<()> {
    match File::open(path).and_then(|file| file.sync_all()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error(error, path)),
    }
}

/// Creates missing parents and syncs the folder each new one was added to.
fn create_parents(path: &FsPath) -> Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    if parent.is_dir() {
        return Ok(());
    }
    let missing: Vec<&FsPath> = parent.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    fs::create_dir_all(parent).map_err(|error| io_error(error, parent))?;
    missing.iter().filter_map(|folder| folder.parent()).try_for_each(sync)
}

/// Writes a synced file beside the target.
fn stage(path: &FsPath, payload: &PutPayload) -> Result<PathBuf> {
    create_parents(path)?;
    let mut staged = path.as_os_str().to_owned();
    // LocalFileSystem hides names that end in `#<digits>` from lists: leftovers of a crash are never taken for content.
    staged.push(format!("#{}", uuid::Uuid::new_v4().as_u128()));
    let staged = PathBuf::from(staged);
    match write_synced(&staged, payload) {
        Ok(()) => Ok(staged),
        Err(error) => {
            let _ = fs::remove_file(&staged);
            Err(error)
        }
    }
}

/// Gives a staged file its name: atomically, and never over another's file with `create`.
fn publish(staged: &FsPath, path: &FsPath, create: bool) -> Result<()> {
    let named = if create { fs::hard_link(staged, path) } else { fs::rename(staged, path) };
    if create || named.is_err() {
        let _ = fs::remove_file(staged);
    }
    named.map_err(|error| io_error(error, path))?;
    path.parent().map_or(Ok(()), sync)
}

fn write_synced(path: &FsPath, payload: &PutPayload) -> Result<()> {
    let write = || {
        let mut file = File::create_new(path)?;
        for bytes in payload {
            file.write_all(bytes)?;
        }
        file.sync_all()
    };
    write().map_err(|error| io_error(error, path))
}

impl fmt::Display for DurableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DurableStore")
    }
}

#[async_trait]
impl ObjectStore for DurableStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let path = self.inner.path_to_filesystem(location)?;
        if is_data_file(location) {
            let parents = path.clone();
            blocking(move || create_parents(&parents)).await?;
            let result = self.inner.put_opts(location, payload, options).await.map_err(named(&path))?;
            self.note(path);
            return Ok(result);
        }
        let create = match options.mode {
            PutMode::Overwrite => false,
            PutMode::Create => true,
            PutMode::Update(_) => {
                return Err(Error::NotImplemented {
                    operation: "conditional update".into(),
                    implementer: STORE.into(),
                });
            }
        };
        let data = async {
            match table_of_log_file(&path) {
                Some(table) => self.sync_below(table).await,
                None => Ok(()),
            }
        };
        let target = path.clone();
        let (data, staged) = tokio::join!(data, blocking(move || stage(&target, &payload)));
        let staged = staged?;
        if let Err(error) = data {
            let _ = fs::remove_file(&staged);
            return Err(error);
        }
        blocking(move || publish(&staged, &path, create)).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let path = self.inner.path_to_filesystem(location)?;
        let parents = path.clone();
        blocking(move || create_parents(&parents)).await?;
        let inner = self.inner.put_multipart_opts(location, options).await.map_err(named(&path))?;
        let sync = match location.as_ref() {
            _ if is_data_file(location) => SyncAt::BeforeCommit,
            path if path.contains("/_landing/tmp/") => SyncAt::AtRename,
            _ => SyncAt::Now,
        };
        Ok(Box::new(DurableUpload { inner, path, sync, store: self.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let target = self.inner.path_to_filesystem(to)?;
        self.inner.copy_opts(from, to, options).await.map_err(named(&target))?;
        settle(target).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let (source, target) = (self.inner.path_to_filesystem(from)?, self.inner.path_to_filesystem(to)?);
        blocking({
            let (source, target) = (source.clone(), target.clone());
            move || {
                sync(&source)?;
                create_parents(&target)
            }
        })
        .await?;
        self.inner.rename_opts(from, to, options).await.map_err(named(&target))?;
        settle(target).await
    }
}

async fn settle(path: PathBuf) -> Result<()> {
    blocking(move || {
        sync(&path)?;
        path.parent().map_or(Ok(()), sync)
    })
    .await
}

#[derive(Debug)]
struct DurableUpload {
    inner: Box<dyn MultipartUpload>,
    path: PathBuf,
    sync: SyncAt,
    store: DurableStore,
}

/// When an uploaded file is synced.
#[derive(Debug, Clone, Copy)]
enum SyncAt {
    /// Now: it counts as soon as it is there.
    Now,
    /// With the others of its table.
    BeforeCommit,
    /// When it gets the name under which it counts.
    AtRename,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (part, named) = (self.inner.put_part(data), named(&self.path));
        Box::pin(async move { part.await.map_err(named) })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.inner.complete().await.map_err(named(&self.path))?;
        match self.sync {
            SyncAt::Now => settle(self.path.clone()).await?,
            SyncAt::BeforeCommit => self.store.note(self.path.clone()),
            SyncAt::AtRename => {}
        }
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;

    use super::*;

    fn path(folder: &FsPath, name: &str) -> Path {
        Path::from_absolute_path(folder.join(name)).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn create_never_overwrites_and_leaves_no_staging_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = DurableStore::new();
        let target = path(folder.path(), "_epochs/1.json");
        let create = || PutOptions { mode: PutMode::Create, ..Default::default() };
        store.put_opts(&target, "one".into(), create()).await.unwrap();
        let again = store.put_opts(&target, "two".into(), create()).await;
        assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
        assert_eq!(store.get(&target).await.unwrap().bytes().await.unwrap(), "one");
        store.put(&target, "three".into()).await.unwrap();
        assert_eq!(store.get(&target).await.unwrap().bytes().await.unwrap(), "three");
        assert_eq!(fs::read_dir(folder.path().join("_epochs")).unwrap().count(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn data_files_are_synced_by_the_next_commit_of_their_table() {
        let folder = tempfile::tempdir().unwrap();
        let store = DurableStore::new();
        let pending = || store.unsynced.lock().unwrap().len();
        store.put(&path(folder.path(), "s/a/x.parquet"), "x".into()).await.unwrap();
        store.put(&path(folder.path(), "s/b/y.parquet"), "y".into()).await.unwrap();
        assert_eq!(pending(), 2);
        store.put(&path(folder.path(), "s/a/_delta_log/0.json"), "{}".into()).await.unwrap();
        assert_eq!(pending(), 1);
        store.put(&path(folder.path(), "s/b/_delta_log/0.json"), "{}".into()).await.unwrap();
        assert_eq!(pending(), 0);
    }

    #[test]
    fn a_commit_that_is_broken_off_leaves_data_files_to_the_next_one() {
        // The one thread that may wait for the disk is busy when the first commit syncs.
        let runtime = tokio::runtime::Builder::new_multi_thread().max_blocking_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let store = DurableStore::new();
            let pending = || store.unsynced.lock().unwrap().len();
            store.put(&path(folder.path(), "s/a/x.parquet"), "x".into()).await.unwrap();
            let (go_on, told) = std::sync::mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || told.recv().is_err());
            let first = path(folder.path(), "s/a/_delta_log/0.json");
            let broken_off = tokio::time::timeout(std::time::Duration::ZERO, store.put(&first, "{}".into())).await;
            assert!(broken_off.is_err());
            assert_eq!(pending(), 1);
            drop(go_on);
            assert!(busy.await.unwrap());
            store.put(&path(folder.path(), "s/a/_delta_log/1.json"), "{}".into()).await.unwrap();
            assert_eq!(pending(), 0);
        });
    }
}
