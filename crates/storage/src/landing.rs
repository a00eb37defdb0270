//! Landing: bytes as they were received, immutable, under the hash of their content: `_landing/<aa>/<sha256>`.

use std::sync::Arc;

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart, path::Path};

use crate::{Lake, StorageError};

const FOLDER: &str = "_landing";
/// Parts in flight: bounds memory while a slow store catches up.
const PARTS_IN_FLIGHT: usize = 4;

/// Streams bytes into the lake whose hash is known only at the end. Dropped without `finish`, it leaves nothing that counts as
/// landed.
#[derive(Debug)]
pub struct LandingWriter {
    store: Arc<dyn ObjectStore>,
    temporary: Path,
    upload: WriteMultipart,
}

impl Lake {
    /// Begins landing a file.
    pub async fn landing_writer(&self) -> Result<LandingWriter, StorageError> {
        let temporary = temporary_folder().join(uuid::Uuid::new_v4().to_string());
        let upload = self.store.put_multipart(&temporary).await.map_err(StorageError::store("write", &temporary))?;
        Ok(LandingWriter { store: Arc::clone(&self.store), temporary, upload: WriteMultipart::new(upload) })
    }

    /// Where bytes with this hash (hex) are or would be.
    pub fn landing_path(sha256: &str) -> Path {
        Path::from_iter([FOLDER, sha256.get(..2).unwrap_or(sha256), sha256])
    }

    /// Whether bytes with this hash have landed.
    pub async fn has_landed(&self, sha256: &str) -> Result<bool, StorageError> {
        exists(&self.store, &Self::landing_path(sha256)).await
    }
}

impl LandingWriter {
    /// Adds bytes; waits while the store is behind.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        self.upload.wait_for_capacity(PARTS_IN_FLIGHT).await.map_err(StorageError::store("write", &self.temporary))?;
        self.upload.put(bytes);
        Ok(())
    }

    /// Names the bytes by their SHA-256 (lower-case hex). When it returns they are durable. Says whether they were new.
    pub async fn finish(self, sha256: &str) -> Result<(Path, bool), StorageError> {
        let Self { store, temporary, upload } = self;
        let target = Lake::landing_path(sha256);
        upload.finish().await.map_err(StorageError::store("write", &temporary))?;
        let is_new = !exists(&store, &target).await?;
        match is_new {
            true => store.rename(&temporary, &target).await.map_err(StorageError::store("write", &target))?,
            false => store.delete(&temporary).await.map_err(StorageError::store("delete", &temporary))?,
        }
        Ok((target, is_new))
    }

    /// Gives up: what was written is removed.
    pub async fn abort(self) -> Result<(), StorageError> {
        self.upload.abort().await.map_err(StorageError::store("delete", &self.temporary))
    }
}

/// Where bytes are before their hash is known.
pub(crate) fn temporary_folder() -> Path {
    Path::from_iter([FOLDER, "tmp"])
}

async fn exists(store: &Arc<dyn ObjectStore>, path: &Path) -> Result<bool, StorageError> {
    match store.head(path).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(StorageError::store("read", path)(error)),
    }
}
