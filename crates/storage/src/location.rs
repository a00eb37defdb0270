//! From what a user writes as the lake's place to an object store: a folder, or a URL.
//!
//! Credentials and endpoints of object stores come from the environment under the names the stores' own tools use
//! (`AWS_*`, `AZURE_*`, `GOOGLE_*`).

use std::{
    fs::{File, OpenOptions},
    path::{Path as FsPath, PathBuf},
    sync::Arc,
};

use object_store::{ObjectStore, memory::InMemory, path::Path, prefix::PrefixStore};
use url::Url;

use crate::{StorageError, durable_store::DurableStore, fence::Fence};

/// Where a lake is.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    /// Ends with a slash.
    pub(crate) url: Url,
    /// The folder, if the lake is on this machine.
    pub(crate) folder: Option<PathBuf>,
    /// Rooted at the store (`/`, the bucket, the container).
    pub(crate) root: Arc<dyn ObjectStore>,
    /// The lake within the store.
    pub(crate) prefix: Path,
    /// Ends the writing of this process.
    pub(crate) fence: Arc<Fence>,
}

impl Location {
    /// Resolves `text`. The folder of a local lake is created, or has to be there.
    pub(crate) fn parse(text: &str, may_create: bool) -> Result<Self, StorageError> {
        let invalid = |reason: String| StorageError::Url { url: text.to_owned(), reason };
        match text.split_once("://").map(|(scheme, _)| scheme) {
            None if text.trim().is_empty() => Err(invalid("it is empty".into())),
            None => Self::folder(FsPath::new(text), may_create),
            Some("file") => {
                let url = Url::parse(text).map_err(|error| invalid(error.to_string()))?;
                let path = url.to_file_path().map_err(|()| invalid("a file URL needs an absolute path".into()))?;
                Self::folder(&path, may_create)
            }
            // A host of its own keeps the lakes of one process apart in a query engine's registry of stores.
            Some("memory") => {
                Self::remote(&format!("memory://{}/", uuid::Uuid::new_v4().simple()), Arc::new(InMemory::new()))
            }
            Some("s3" | "s3a" | "abfs" | "abfss" | "az" | "adl" | "azure" | "gs") => {
                let url = Url::parse(text).map_err(|error| invalid(error.to_string()))?;
                let (store, _) =
                    object_store::parse_url_opts(&url, store_options()).map_err(|error| invalid(error.to_string()))?;
                Self::remote(text, Arc::from(store))
            }
            Some(scheme) => Err(invalid(format!("the scheme {scheme} is not supported"))),
        }
    }

    fn folder(path: &FsPath, may_create: bool) -> Result<Self, StorageError> {
        let io = |source| StorageError::Io { action: "create", path: path.display().to_string(), source };
        let invalid = |reason: &str| StorageError::Url { url: path.display().to_string(), reason: reason.to_owned() };
        // No folder is made where a file stands, nor below it.
        let standing = path.ancestors().find(|above| above.exists());
        if let Some(file) = standing.filter(|standing| !standing.is_dir()) {
            return Err(invalid(&format!("{} is a file", file.display())));
        }
        if !may_create && !path.is_dir() {
            return Err(invalid("there is no such folder"));
        }
        std::fs::create_dir_all(path).map_err(io)?;
        let folder = path.canonicalize().map_err(io)?;
        let url = Url::from_directory_path(&folder).map_err(|()| invalid("it is not an absolute path"))?;
        let prefix = Path::from_url_path(url.path()).map_err(|_| invalid("its name cannot be written as a URL"))?;
        let (root, fence) = (Arc::new(DurableStore::new()), Arc::default());
        Ok(Self { url, folder: Some(folder), root, prefix, fence })
    }

    fn remote(text: &str, root: Arc<dyn ObjectStore>) -> Result<Self, StorageError> {
        let invalid = |reason: String| StorageError::Url { url: text.to_owned(), reason };
        let mut url = Url::parse(text).map_err(|error| invalid(error.to_string()))?;
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let prefix = Path::from_url_path(url.path()).map_err(|error| invalid(error.to_string()))?;
        Ok(Self { url, folder: None, root, prefix, fence: Arc::default() })
    }

    /// A store rooted at the lake.
    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::new(PrefixStore::new(Arc::clone(&self.root), self.prefix.clone()))
    }
}

fn store_options() -> impl Iterator<Item = (String, String)> {
    std::env::vars()
        .filter(|(name, _)| ["AWS_", "AZURE_", "GOOGLE_"].iter().any(|prefix| name.starts_with(prefix)))
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
}

/// The file whose lock all processes share that have a lake on this machine open ([`crate::Lake::alone_at`]).
const IN_USE: &str = "_in_use";

/// The lock that all who have the lake open share; none for a lake on an object store, or on a disk that takes no file.
pub(crate) fn share(folder: &FsPath) -> Option<File> {
    let path = folder.join(IN_USE);
    if !path.exists() {
        // A disk that cannot be written to keeps no half-written files.
        drop(OpenOptions::new().append(true).create(true).open(&path));
    }
    // Held open for reading alone: a file open for writing would keep its disk from being mounted read-only.
    let file = File::open(&path).ok()?;
    file.lock_shared().ok()?;
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_urls_are_lakes() {
        let folder = tempfile::tempdir().unwrap();
        let plain = Location::parse(&folder.path().join("a b").display().to_string(), true).unwrap();
        assert!(plain.url.as_str().ends_with("/a%20b/"), "{}", plain.url);
        assert!(plain.prefix.as_ref().ends_with("a b"), "{}", plain.prefix);
        assert_eq!(Location::parse(plain.url.as_str(), true).unwrap().folder, plain.folder);
        let bucket = Location::parse("s3://bucket/lake", true).unwrap();
        assert_eq!((bucket.prefix.as_ref(), bucket.url.as_str()), ("lake", "s3://bucket/lake/"));
        assert!(Location::parse("abfss://container@account.dfs.core.windows.net/lake", true).is_ok());
        assert_ne!(Location::parse("memory://", true).unwrap().url, Location::parse("memory://", true).unwrap().url);
        let absent = Location::parse(&folder.path().join("absent").display().to_string(), false);
        assert!(matches!(absent, Err(StorageError::Url { .. })), "{absent:?}");
        for wrong in ["", "ftp://x/y"] {
            assert!(matches!(Location::parse(wrong, true), Err(StorageError::Url { .. })), "{wrong}");
        }
    }
}
