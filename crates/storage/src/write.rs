//! Streams of rows → Parquet files of a table → `add` actions. Nothing here makes a file visible; a commit does.

use std::{num::NonZeroU64, sync::Arc};

use arrow::{array::RecordBatch, compute::concat_batches, datatypes::SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use deltalake::{datafile::writer::WriterConfig, kernel::Add};
use futures::StreamExt;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};
use wardlake_core::TableName;

use crate::{StorageError, data_writer::DataWriter, file_stats, types::cast_batch};

/// How data files are written.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// A file is closed when it has about this many bytes.
    pub target_file_bytes: u64,
    /// Rows per row group: what a reader skips or reads as one.
    pub row_group_rows: usize,
    /// Compression of the column chunks.
    pub compression: Compression,
    /// Whether every page carries its smallest and largest value, which lets readers skip pages, or only every column chunk.
    pub has_page_statistics: bool,
    /// Columns whose values hardly ever repeat: no dictionary is tried for them.
    pub without_dictionary: Vec<String>,
    /// A column that has outgrown a dictionary of so many bytes goes on without one. Looking up values that hardly ever repeat costs
    /// more the larger it grows.
    pub dictionary_bytes: usize,
    /// Columns nobody looks for a range of values in: their smallest and largest values are not looked for.
    pub without_bounds: Vec<String>,
    /// How columns are encoded where they have no dictionary, or have outgrown it; the others as plain values.
    pub encodings: Vec<(String, Encoding)>,
    /// A stream starts its own file after this many rows; shorter ends of all streams share one, so that a small write makes
    /// one file however many streams it came in.
    pub shared_tail_rows: usize,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            target_file_bytes: 256 << 20,
            row_group_rows: 1 << 20,
            compression: Compression::ZSTD(ZstdLevel::default()),
            has_page_statistics: true,
            without_dictionary: Vec::new(),
            dictionary_bytes: 1 << 20,
            without_bounds: Vec::new(),
            encodings: Vec::new(),
            shared_tail_rows: 64 << 10,
        }
    }
}

impl WriteOptions {
    fn properties(&self) -> WriterProperties {
        let statistics = if self.has_page_statistics { EnabledStatistics::Page } else { EnabledStatistics::Chunk };
        let mut properties = WriterProperties::builder()
            .set_compression(self.compression)
            .set_max_row_group_row_count(Some(self.row_group_rows))
            .set_dictionary_page_size_limit(self.dictionary_bytes)
            .set_statistics_enabled(statistics)
            .set_created_by(concat!("wardlake ", env!("CARGO_PKG_VERSION")).to_owned());
        for column in &self.without_dictionary {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(column.as_str()), false);
        }
        for column in &self.without_bounds {
            let path = ColumnPath::from(column.as_str());
            properties = properties.set_column_statistics_enabled(path, EnabledStatistics::None);
        }
        for (column, encoding) in &self.encodings {
            properties = properties.set_column_encoding(ColumnPath::from(column.as_str()), *encoding);
        }
        properties.build()
    }
}

/// Files that are written but not committed.
#[derive(Debug, Default)]
pub(crate) struct NewFiles {
    pub(crate) adds: Vec<Add>,
}

impl NewFiles {
    /// Rows, as the writer of this process counted them: for people, and 0 of a file of which it did not.
    pub(crate) fn rows(&self) -> u64 {
        let rows = |add: &Add| add.get_stats().ok().flatten().map_or(0, |stats| stats.num_records.max(0) as u64);
        self.adds.iter().map(rows).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.adds.iter().map(|add| add.size.max(0) as u64).sum()
    }

    /// Deletes files no commit will name. What cannot be deleted is left to vacuum.
    pub(crate) async fn discard(self, store: &Arc<dyn ObjectStore>) {
        for add in self.adds {
            if let Ok(path) = object_store::path::Path::parse(&add.path) {
                let _ = store.delete(&path).await;
            }
        }
    }
}

/// The layout of the files of one write.
#[derive(Clone)]
pub(crate) struct FileLayout {
    pub(crate) table: TableName,
    /// Rooted at the table.
    pub(crate) store: Arc<dyn ObjectStore>,
    /// All columns, partition columns included, as the table stores them.
    pub(crate) schema: SchemaRef,
    pub(crate) partition_by: Vec<String>,
    pub(crate) options: WriteOptions,
    /// The columns of the table this layout was worked out on, for rewrites.
    pub(crate) replaces: Option<SchemaRef>,
}

impl FileLayout {
    fn writer(&self) -> DataWriter {
        let config = WriterConfig::new(
            Arc::clone(&self.schema),
            self.partition_by.clone(),
            Some(self.options.properties()),
            NonZeroU64::new(self.options.target_file_bytes),
            Some(WRITE_SLICE_ROWS),
            // Delta's default: statistics of the first 32 columns.
            Default::default(),
            None,
        );
        DataWriter::new(&self.table, Arc::clone(&self.store), config)
    }

    fn conform(&self, batch: &RecordBatch) -> Result<RecordBatch, StorageError> {
        cast_batch(batch, &self.schema)
    }

    /// Writes all streams, each in a task of its own.
    pub(crate) async fn write(&self, streams: Vec<SendableRecordBatchStream>) -> Result<NewFiles, StorageError> {
        let tasks = streams.into_iter().map(|stream| {
            let layout = self.clone();
            async move {
                let task = tokio::spawn(async move { layout.write_stream(stream).await });
                AbortOnDrop(task).await.map_err(StorageError::task(&self.table))
            }
        });
        let mut files = NewFiles::default();
        let mut tails = Vec::new();
        let mut failure = None;
        for result in futures::future::join_all(tasks).await {
            match result.and_then(|result| result) {
                Ok((adds, tail)) => {
                    files.adds.extend(adds);
                    tails.extend(tail);
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let tail = match failure {
            None => self.write_batches(tails).await,
            Some(error) => Err(error),
        };
        match tail {
            Ok(adds) => files.adds.extend(adds),
            Err(error) => {
                files.discard(&self.store).await;
                return Err(error);
            }
        }
        files.adds.iter_mut().for_each(|add| file_stats::trim(add, &self.schema));
        Ok(files)
    }

    /// Files of a stream, and its rows if they are too few for a file of their own.
    async fn write_stream(
        &self,
        mut stream: SendableRecordBatchStream,
    ) -> Result<(Vec<Add>, Vec<RecordBatch>), StorageError> {
        let mut head = Vec::new();
        let mut rows = 0;
        while rows < self.options.shared_tail_rows {
            let Some(batch) = stream.next().await else { return Ok((Vec::new(), head)) };
            let batch = self.conform(&batch.map_err(StorageError::query(&self.table))?)?;
            rows += batch.num_rows();
            head.push(batch);
        }
        let mut writer = self.writer();
        let result = async {
            for batch in head {
                writer.write(&batch).await?;
            }
            while let Some(batch) = stream.next().await {
                let batch = self.conform(&batch.map_err(StorageError::query(&self.table))?)?;
                writer.write(&batch).await?;
            }
            Ok(())
        };
        match result.await {
            Ok(()) => Ok((writer.close().await?, Vec::new())),
            Err(error) => {
                writer.abort().await;
                Err(error)
            }
        }
    }

    /// Writes rows that already have the table's schema.
    async fn write_batches(&self, batches: Vec<RecordBatch>) -> Result<Vec<Add>, StorageError> {
        if batches.iter().all(|batch| batch.num_rows() == 0) {
            return Ok(Vec::new());
        }
        let mut writer = self.writer();
        // Partitioned writers split each batch; one batch makes that one sort.
        match concat_batches(&self.schema, &batches) {
            Ok(all) => writer.write(&all).await?,
            Err(_) => {
                for batch in &batches {
                    writer.write(batch).await?;
                }
            }
        }
        writer.close().await
    }
}

/// Slices in which the writer looks at a file's size.
const WRITE_SLICE_ROWS: usize = 8 << 10;

/// A task that ends with the future that waits for it: a cancelled build stops writing.
pub(crate) struct AbortOnDrop<T>(pub(crate) tokio::task::JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
