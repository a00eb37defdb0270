//! What it takes to own a lake that no lock of an operating system can hold: small files that are replaced only as long as nobody else was
//! there, and an end from which on this process writes nothing any more.

use std::time::Instant;

use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion, path::Path};

use crate::{Lake, StorageError};

/// Tells one content of a small file from all others that it had or will have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark(UpdateVersion);

impl Lake {
    /// From `end` on nothing is committed to the lake, until a later end is set; `None` takes it away.
    pub fn write_until(&self, end: Option<Instant>) {
        self.location.fence.set(end);
    }

    /// Whether the end that was set lies ahead.
    pub fn may_write(&self) -> bool {
        self.location.fence.is_open()
    }

    /// The contents of a small file with their mark, or `None` if it is not there.
    pub async fn get_marked(&self, path: &Path) -> Result<Option<(bytes::Bytes, Mark)>, StorageError> {
        let found = match self.store.get(path).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.failed("read", path)(error)),
        };
        let mark = Mark(UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() });
        Ok(Some((found.bytes().await.map_err(self.failed("read", path))?, mark)))
    }

    /// Writes a small file if it is still as `over` marks it, without `over` if it is not there. The new mark, or `None` if somebody else was
    /// first. For object stores alone: a folder has nothing that compares and writes in one step.
    pub async fn put_over(
        &self,
        path: &Path,
        bytes: impl Into<bytes::Bytes> + Send,
        over: Option<&Mark>,
    ) -> Result<Option<Mark>, StorageError> {
        let mode = over.map_or(PutMode::Create, |Mark(version)| PutMode::Update(version.clone()));
        let options = PutOptions { mode, ..Default::default() };
        match self.store.put_opts(path, bytes.into().into(), options).await {
            Ok(written) => Ok(Some(Mark(written.into()))),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(None),
            Err(error) => Err(self.failed("write", path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a01_of_two_who_replace_a_file_one_does() {
        let lake = Lake::open("memory://").await.unwrap();
        let path = Path::from("_owner.json");
        let first = lake.put_over(&path, "first", None).await.unwrap().unwrap();
        assert_eq!(lake.put_over(&path, "other", None).await.unwrap(), None);
        let (bytes, found) = lake.get_marked(&path).await.unwrap().unwrap();
        assert_eq!((&bytes[..], &found), (&b"first"[..], &first));
        let second = lake.put_over(&path, "second", Some(&first)).await.unwrap().unwrap();
        assert_ne!(second, first);
        assert_eq!(lake.put_over(&path, "late", Some(&first)).await.unwrap(), None);
        assert_eq!(&lake.get(&path).await.unwrap().unwrap()[..], b"second");
    }

    #[tokio::test]
    async fn a01_nothing_is_written_behind_the_end() {
        let lake = Lake::open("memory://").await.unwrap();
        let path = Path::from("_epochs/1.json");
        lake.write_until(Some(Instant::now() + Duration::from_secs(3600)));
        assert!(lake.may_write() && lake.put_if_absent(&path, "1").await.unwrap());
        lake.write_until(Some(Instant::now()));
        assert!(!lake.may_write());
        for refused in [lake.put_if_absent(&path, "2").await.map(drop), lake.put(&path, "2").await] {
            assert!(matches!(refused, Err(StorageError::LeaseOver { .. })), "{refused:?}");
        }
        lake.write_until(None);
        lake.put(&path, "3").await.unwrap();
    }
}
