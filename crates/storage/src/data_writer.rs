//! Writes the data files of one stream of rows.
//!
//! Delta's file writer answers an upload that fails at its end with a panic that it catches itself, and the process prints it
//! all the same. So it is told that every upload goes well, and the failure is kept here and handed out as what it is.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use deltalake::{
    datafile::writer::{DeltaWriter, WriterConfig},
    kernel::Add,
};
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart, path::Path,
};
use wardlake_core::TableName;

use crate::{StorageError, write::NewFiles};

/// Data files being written.
pub(crate) struct DataWriter {
    table: TableName,
    writer: DeltaWriter,
    uploads: Uploads,
}

impl DataWriter {
    /// `store` is rooted at the table.
    pub(crate) fn new(table: &TableName, store: Arc<dyn ObjectStore>, config: WriterConfig) -> Self {
        let uploads = Uploads { inner: store, failure: Arc::default() };
        Self { table: table.clone(), writer: DeltaWriter::new(Arc::new(uploads.clone()), config), uploads }
    }

    /// Adds rows; ends early if a file they went to could not be written.
    pub(crate) async fn write(&mut self, batch: &RecordBatch) -> Result<(), StorageError> {
        self.writer.write(batch).await.map_err(StorageError::delta(&self.table))?;
        self.check()
    }

    /// Finishes the files. When one of them failed, none is left.
    pub(crate) async fn close(self) -> Result<Vec<Add>, StorageError> {
        let Self { table, writer, uploads } = self;
        let adds = writer.close().await.map_err(StorageError::delta(&table))?;
        match uploads.take_failure() {
            None => Ok(adds),
            Some(error) => {
                NewFiles { adds }.discard(&uploads.inner).await;
                Err(StorageError::store("write", &table)(error))
            }
        }
    }

    /// Gives up.
    pub(crate) async fn abort(self) {
        let _ = self.writer.abort().await;
    }

    fn check(&self) -> Result<(), StorageError> {
        self.uploads.take_failure().map_or(Ok(()), |error| Err(StorageError::store("write", &self.table)(error)))
    }
}

/// A store whose writes always seem to succeed; the first failure is kept.
#[derive(Debug, Clone)]
struct Uploads {
    inner: Arc<dyn ObjectStore>,
    failure: Arc<Mutex<Option<Error>>>,
}

impl Uploads {
    fn keep(&self, error: Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    fn take_failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn seemingly_done() -> PutResult {
    PutResult { e_tag: None, version: None }
}

impl fmt::Display for Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Uploads {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        Ok(self.inner.put_opts(location, payload, options).await.unwrap_or_else(|error| {
            self.keep(error);
            seemingly_done()
        }))
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(location, options).await.map_err(|error| self.keep(error)).ok();
        Ok(Box::new(Upload { inner, uploads: self.clone() }))
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

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

/// A file that is uploaded in parts; without an inner upload it could not even be begun.
#[derive(Debug)]
struct Upload {
    inner: Option<Box<dyn MultipartUpload>>,
    uploads: Uploads,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let part = self.inner.as_mut().map(|inner| inner.put_part(data));
        let uploads = self.uploads.clone();
        Box::pin(async move {
            if let Some(part) = part
                && let Err(error) = part.await
            {
                uploads.keep(error);
            }
            Ok(())
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let Some(inner) = &mut self.inner else { return Ok(seemingly_done()) };
        let result = inner.complete().await;
        Ok(result.unwrap_or_else(|error| {
            self.uploads.keep(error);
            seemingly_done()
        }))
    }

    async fn abort(&mut self) -> Result<()> {
        match &mut self.inner {
            Some(inner) => inner.abort().await,
            None => Ok(()),
        }
    }
}
