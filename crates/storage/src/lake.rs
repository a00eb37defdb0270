//! The lake: a folder or bucket of tables. Opens it, finds tables, hands out their states.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    path::{Path as FsPath, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path};
use url::Url;
use wardlake_core::TableName;

use crate::{
    StorageError, TableSnapshot,
    epochs::EpochCache,
    location::{self, Location},
    sightings::Sightings,
    table::TableHandle,
    views::ViewCache,
};

/// Lookups of tables side by side.
const PARALLEL_LOOKUPS: usize = 16;

/// A lake. Share it: the writer lock of each table lives in it.
#[derive(Debug)]
pub struct Lake {
    pub(crate) location: Location,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) views: ViewCache,
    pub(crate) epochs: EpochCache,
    pub(crate) sightings: Sightings,
    tables: Mutex<HashMap<TableName, Arc<TableHandle>>>,
    writer: String,
    /// Held for as long as the lake is open.
    pub(crate) in_use: Option<File>,
    /// The files that were there when nobody else had the lake open.
    pub(crate) there_alone: Mutex<HashSet<PathBuf>>,
}

impl Lake {
    /// Opens the lake at a folder (created if absent) or URL: `file://`, `s3://`, `s3a://`, `abfss://`, `az://`, `gs://`, or
    /// `memory://` for a new lake in memory. Object stores are configured by the environment (`AWS_*`, `AZURE_*`, `GOOGLE_*`).
    pub async fn open(url: &str) -> Result<Arc<Self>, StorageError> {
        Ok(Self::at(Location::parse(url, true)?))
    }

    /// Opens the lake at a URL to look at it: a folder that is absent is an error instead of a new lake.
    pub async fn open_existing(url: &str) -> Result<Arc<Self>, StorageError> {
        Ok(Self::at(Location::parse(url, false)?))
    }

    fn at(location: Location) -> Arc<Self> {
        let store = location.store();
        let writer = uuid::Uuid::new_v4().simple().to_string();
        let (views, epochs, sightings, tables, there_alone) = Default::default();
        let in_use = location.folder.as_deref().and_then(location::share);
        Arc::new(Self { location, store, views, epochs, sightings, tables, writer, in_use, there_alone })
    }

    /// Where the lake is; ends with a slash.
    pub fn url(&self) -> &Url {
        &self.location.url
    }

    /// The lake's folder, if it is on this machine.
    pub fn local_path(&self) -> Option<&FsPath> {
        self.location.folder.as_deref()
    }

    /// Tells whoever opened the lake, once, from all others who write it.
    pub fn writer(&self) -> &str {
        &self.writer
    }

    /// A store rooted at the lake. Writes to a local one are durable when they return.
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    /// Says that `action` failed at `path`, relative to the lake: people need the whole address.
    pub(crate) fn failed(
        &self,
        action: &'static str,
        path: impl std::fmt::Display,
    ) -> impl FnOnce(object_store::Error) -> StorageError {
        move |source| StorageError::store(action, format_args!("{}{path}", self.url()))(source)
    }

    /// Writes a small file, replacing it if it is there.
    pub async fn put(&self, path: &Path, bytes: impl Into<bytes::Bytes> + Send) -> Result<(), StorageError> {
        self.location.fence.check(path)?;
        let result = self.store.put(path, bytes.into().into()).await;
        result.map(drop).map_err(self.failed("write", path))
    }

    /// Writes a small file unless it is there; says whether it was written. Of several writers, exactly one wins.
    pub async fn put_if_absent(
        &self,
        path: &Path,
        bytes: impl Into<bytes::Bytes> + Send,
    ) -> Result<bool, StorageError> {
        self.location.fence.check(path)?;
        let options = PutOptions { mode: PutMode::Create, ..Default::default() };
        match self.store.put_opts(path, bytes.into().into(), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.failed("write", path)(error)),
        }
    }

    /// The contents of a small file, or `None` if it is not there.
    pub async fn get(&self, path: &Path) -> Result<Option<bytes::Bytes>, StorageError> {
        match self.store.get(path).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(self.failed("read", path))?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", path)(error)),
        }
    }

    /// Names of the small files in a folder, and when each was written.
    pub async fn list(&self, folder: &Path) -> Result<Vec<(String, DateTime<Utc>)>, StorageError> {
        let name = |object: object_store::ObjectMeta| {
            object.location.filename().map(|name| (name.to_owned(), object.last_modified))
        };
        let found = self.store.list(Some(folder)).try_collect::<Vec<_>>().await.map_err(self.failed("list", folder))?;
        Ok(found.into_iter().filter_map(name).collect())
    }

    /// Deletes a small file, if it is there.
    pub async fn remove(&self, path: &Path) -> Result<(), StorageError> {
        delete(&self.store, path).await
    }

    /// Every table, by name.
    pub async fn table_names(&self) -> Result<Vec<TableName>, StorageError> {
        let schemas = self.folders(None).await?;
        let tables = futures::stream::iter(schemas.into_iter().filter(|schema| !schema.starts_with(['_', '.'])))
            .map(|schema| async move {
                let names = self.folders(Some(&schema)).await?;
                Ok::<_, StorageError>(names.into_iter().filter_map(move |name| TableName::new(&schema, name).ok()))
            })
            .buffer_unordered(PARALLEL_LOOKUPS);
        let candidates: Vec<TableName> = tables.try_fold(Vec::new(), collect_names).await?;
        let found = futures::stream::iter(candidates)
            .map(|name| async move { Ok::<_, StorageError>(self.exists(&name).await?.then_some(name)) })
            .buffer_unordered(PARALLEL_LOOKUPS);
        let mut names: Vec<TableName> = found.try_filter_map(async |name| Ok(name)).try_collect().await?;
        names.sort_unstable();
        Ok(names)
    }

    async fn folders(&self, parent: Option<&str>) -> Result<Vec<String>, StorageError> {
        let prefix = parent.map(Path::from);
        let list = self.store.list_with_delimiter(prefix.as_ref()).await;
        let list = list.map_err(self.failed("list", prefix.unwrap_or_default()))?;
        Ok(list.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    /// Whether the table has a commit.
    pub async fn exists(&self, table: &TableName) -> Result<bool, StorageError> {
        Ok(self.newest_version(table).await?.is_some())
    }

    /// The newest version by the log's file names alone: the cheapest way to learn whether a table changed.
    pub async fn newest_version(&self, table: &TableName) -> Result<Option<u64>, StorageError> {
        self.handle(table)?.newest_version().await
    }

    /// Of these tables those whose newest commits are gone, with the newest version that is there: each is published at a later one.
    pub async fn set_back(
        &self,
        published: &BTreeMap<TableName, u64>,
    ) -> Result<BTreeMap<TableName, u64>, StorageError> {
        let found = futures::stream::iter(published.clone())
            .map(|(name, version)| async move {
                let newest = self.newest_version(&name).await?.filter(|newest| *newest < version);
                Ok::<_, StorageError>(newest.map(|newest| (name, newest)))
            })
            .buffer_unordered(PARALLEL_LOOKUPS);
        found.try_filter_map(async |found| Ok(found)).try_collect().await
    }

    /// The newest state of a table, or the one at `version`; `None` if the table does not exist.
    pub async fn snapshot(
        &self,
        table: &TableName,
        version: Option<u64>,
    ) -> Result<Option<TableSnapshot>, StorageError> {
        let handle = self.handle(table)?;
        if let Some(version) = version
            && let Some(state) = handle.known_at(version).await?
        {
            return Ok(Some(TableSnapshot::new(handle, state)));
        }
        let Some(newest) = handle.state().await? else { return Ok(None) };
        let newest = TableSnapshot::new(handle, newest);
        match version {
            None => Ok(Some(newest)),
            Some(version) => newest.at(version).await.map(Some),
        }
    }

    /// The newest state of a table that has to exist.
    pub async fn require(&self, table: &TableName) -> Result<TableSnapshot, StorageError> {
        self.snapshot(table, None).await?.ok_or_else(|| StorageError::TableNotFound { table: table.clone() })
    }

    /// Deletes a table with all its versions. The log goes first: a table half deleted does not exist.
    pub async fn drop_table(&self, table: &TableName) -> Result<(), StorageError> {
        let handle = self.handle(table)?;
        let _writer = handle.writer.lock().await;
        let store = handle.store();
        let mut log: Vec<Path> = self.paths(&store, Some(&Path::from("_delta_log"))).await?;
        // Newest first: what remains after an interruption is an older version, or nothing.
        log.sort_unstable_by(|a, b| b.cmp(a));
        for path in &log {
            delete(&store, path).await?;
        }
        for path in self.paths(&store, None).await? {
            delete(&store, &path).await?;
        }
        handle.forget().await;
        if let Some(folder) = self.local_path().map(|lake| lake.join(table.schema()).join(table.name())) {
            let _ = tokio::fs::remove_dir_all(folder).await;
        }
        Ok(())
    }

    pub(crate) async fn paths(
        &self,
        store: &Arc<dyn ObjectStore>,
        prefix: Option<&Path>,
    ) -> Result<Vec<Path>, StorageError> {
        let list = store.list(prefix).map_ok(|object| object.location).try_collect().await;
        list.map_err(StorageError::store("list", prefix.cloned().unwrap_or_default()))
    }

    pub(crate) fn handle(&self, table: &TableName) -> Result<Arc<TableHandle>, StorageError> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = tables.get(table) {
            return Ok(Arc::clone(handle));
        }
        let handle = Arc::new(TableHandle::new(&self.location, table.clone())?);
        tables.insert(table.clone(), Arc::clone(&handle));
        Ok(handle)
    }
}

async fn collect_names(
    mut all: Vec<TableName>,
    names: impl Iterator<Item = TableName>,
) -> Result<Vec<TableName>, StorageError> {
    all.extend(names);
    Ok(all)
}

async fn delete(store: &Arc<dyn ObjectStore>, path: &Path) -> Result<(), StorageError> {
    match store.delete(path).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(StorageError::store("delete", path)(error)),
    }
}
