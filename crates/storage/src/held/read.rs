//! Reads the rows of single data files, or some of them.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};
use bytes::Bytes;
use futures::{TryStreamExt, future::BoxFuture};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use parquet::{
    arrow::{
        ParquetRecordBatchStreamBuilder, ProjectionMask,
        arrow_reader::{ArrowReaderOptions, RowSelection, RowSelector},
        async_reader::AsyncFileReader,
    },
    errors::{ParquetError, Result as ParquetResult},
    file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader},
};

use crate::{StorageError, TableSnapshot, types::cast_batch};

/// Files that are held whole have so many bytes on disk at most; they are read at once, too.
const SMALL_FILE_BYTES: u64 = 1 << 20;
/// Rows per batch, as queries like them.
const BATCH_ROWS: usize = 8 << 10;

/// A data file that holds rows of its table and nothing else does.
#[derive(Clone, Debug)]
pub(super) struct PlainFile {
    pub(super) path: Path,
    pub(super) bytes: u64,
}

impl PlainFile {
    pub(super) fn is_small(&self) -> bool {
        self.bytes <= SMALL_FILE_BYTES
    }
}

/// The columns of rows that are held: the table's, texts as views.
pub(super) fn held_schema(of: &TableSnapshot) -> SchemaRef {
    let view = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8 => Arc::new(Field::new(field.name(), DataType::Utf8View, field.is_nullable())),
        _ => Arc::clone(field),
    };
    Arc::new(Schema::new(of.schema().fields().iter().map(view).collect::<Vec<_>>()))
}

/// The rows of a file, or some of them, with the table's columns, or some of them.
pub(super) async fn read(
    of: &TableSnapshot,
    file: &PlainFile,
    columns: Option<&[String]>,
    rows: Option<RowSelection>,
) -> Result<Vec<RecordBatch>, StorageError> {
    let error = |error| StorageError::query(of.name())(datafusion::error::DataFusionError::from(error));
    let reader = FileReader { store: of.handle.store(), file: file.clone(), whole: None };
    let pages = if rows.is_some() { PageIndexPolicy::Optional } else { PageIndexPolicy::Skip };
    // The table says what its types are. What a file says of them beside its columns may be damaged, and the library panics there.
    let options = ArrowReaderOptions::new().with_page_index_policy(pages).with_skip_arrow_metadata(true);
    let mut builder = ParquetRecordBatchStreamBuilder::new_with_options(reader, options)
        .await
        .map_err(error)?
        .with_batch_size(BATCH_ROWS);
    let own = held_schema(of);
    let mut schema = Arc::clone(&own);
    if let Some(columns) = columns {
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().map(String::as_str));
        builder = builder.with_projection(mask);
        let fields = columns.iter().filter_map(|name| own.field_with_name(name).ok().cloned());
        schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    }
    if let Some(rows) = rows {
        builder = builder.with_row_selection(rows);
    }
    let batches: Vec<RecordBatch> = builder.build().map_err(error)?.try_collect().await.map_err(error)?;
    batches.iter().map(|batch| cast_batch(batch, &schema)).collect()
}

/// Reads parts of a file; a small one is read at once.
struct FileReader {
    store: Arc<dyn ObjectStore>,
    file: PlainFile,
    whole: Option<Bytes>,
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let error = |error| ParquetError::External(Box::new(error));
        Box::pin(async move {
            if !self.file.is_small() {
                return self.store.get_range(&self.file.path, range).await.map_err(error);
            }
            let whole = match self.whole.take() {
                Some(whole) => whole,
                None => self.store.get_range(&self.file.path, 0..self.file.bytes).await.map_err(error)?,
            };
            let part = whole.slice(range.start as usize..range.end as usize);
            self.whole = Some(whole);
            Ok(part)
        })
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let pages = options.map_or(PageIndexPolicy::Skip, ArrowReaderOptions::offset_index_policy);
        let bytes = self.file.bytes;
        let reader = ParquetMetaDataReader::new().with_offset_index_policy(pages);
        Box::pin(async move { Ok(Arc::new(reader.load_and_finish(self, bytes).await?)) })
    }
}

/// Reads these rows, which are in order, and skips the others.
pub(super) fn selection(rows: &[u32]) -> RowSelection {
    let mut selectors = Vec::new();
    let mut next = 0;
    for row in rows.iter().map(|row| *row as usize) {
        if row > next {
            selectors.push(RowSelector::skip(row - next));
        }
        selectors.push(RowSelector::select(1));
        next = row + 1;
    }
    RowSelection::from(selectors)
}

pub(super) fn query(of: &TableSnapshot, error: ArrowError) -> StorageError {
    StorageError::query(of.name())(error.into())
}
