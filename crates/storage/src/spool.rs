//! Rows that are needed more than once: kept in memory up to a limit, then in temporary files of the session.

use std::{
    fmt,
    fs::File,
    io::{BufReader, BufWriter},
    sync::Arc,
};

use arrow::{
    array::RecordBatch,
    datatypes::SchemaRef,
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use datafusion::{
    catalog::{TableProvider, streaming::StreamingTable},
    common::TableReference,
    dataframe::DataFrame,
    datasource::{MemTable, provider_as_source},
    error::{DataFusionError, Result as QueryResult},
    execution::{SendableRecordBatchStream, SessionState, TaskContext, spill_file::SpillFile},
    logical_expr::LogicalPlanBuilder,
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use futures::StreamExt;
use wardlake_core::TableName;

use crate::{StorageError, types::cast_batch, write::AbortOnDrop};

/// Bytes one stream may keep in memory.
const MEMORY_PER_STREAM: usize = 64 << 20;

/// Spooled rows.
pub(crate) struct Spool {
    pub(crate) schema: SchemaRef,
    parts: Vec<Arc<Part>>,
}

struct Part {
    schema: SchemaRef,
    memory: Vec<RecordBatch>,
    spilled: Option<Arc<dyn SpillFile>>,
    rows: usize,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Spool {
    /// Reads all streams side by side; rows are brought to `schema`.
    pub(crate) async fn fill(
        table: &TableName,
        session: &SessionState,
        streams: Vec<SendableRecordBatchStream>,
        schema: SchemaRef,
    ) -> Result<Self, StorageError> {
        let tasks = streams.into_iter().map(|stream| {
            let (name, session, schema) = (table.clone(), session.clone(), Arc::clone(&schema));
            let task = tokio::spawn(async move { Part::fill(&name, &session, stream, schema).await.map(Arc::new) });
            async move { AbortOnDrop(task).await.map_err(StorageError::task(table))? }
        });
        let parts = futures::future::try_join_all(tasks).await?;
        Ok(Self { schema, parts })
    }

    pub(crate) fn rows(&self) -> usize {
        self.parts.iter().map(|part| part.rows).sum()
    }

    fn provider(&self) -> QueryResult<Arc<dyn TableProvider>> {
        if self.parts.iter().all(|part| part.spilled.is_none()) {
            let mut partitions: Vec<_> = self.parts.iter().map(|part| part.memory.clone()).collect();
            if partitions.is_empty() {
                partitions.push(Vec::new());
            }
            return Ok(Arc::new(MemTable::try_new(Arc::clone(&self.schema), partitions)?));
        }
        let parts = self.parts.iter().map(|part| Arc::clone(part) as Arc<dyn PartitionStream>).collect();
        Ok(Arc::new(StreamingTable::try_new(Arc::clone(&self.schema), parts)?))
    }

    /// The rows as the relation `alias`.
    pub(crate) fn frame(&self, session: &SessionState, alias: &str) -> QueryResult<DataFrame> {
        let source = provider_as_source(self.provider()?);
        let plan = LogicalPlanBuilder::scan(TableReference::bare(alias), source, None)?.build()?;
        Ok(DataFrame::new(session.clone(), plan))
    }
}

impl Part {
    async fn fill(
        table: &TableName,
        session: &SessionState,
        mut stream: SendableRecordBatchStream,
        schema: SchemaRef,
    ) -> Result<Self, StorageError> {
        let query = || StorageError::query(table);
        let mut part = Self { schema, memory: Vec::new(), spilled: None, rows: 0 };
        let mut bytes = 0;
        let mut file = None;
        while let Some(batch) = stream.next().await {
            let batch = cast_batch(&batch.map_err(query())?, &part.schema)?;
            part.rows += batch.num_rows();
            bytes += batch.get_array_memory_size();
            if bytes <= MEMORY_PER_STREAM {
                part.memory.push(batch);
                continue;
            }
            let writer = match &mut file {
                Some(writer) => writer,
                None => {
                    let (spilled, writer) = spill(session, &part.schema).map_err(query())?;
                    part.spilled = Some(spilled);
                    file.insert(writer)
                }
            };
            writer.write(&batch).map_err(|error| query()(error.into()))?;
        }
        if let Some(mut writer) = file {
            writer.finish().map_err(|error| query()(error.into()))?;
        }
        Ok(part)
    }
}

type SpillWriter = StreamWriter<BufWriter<File>>;

fn spill(session: &SessionState, schema: &SchemaRef) -> QueryResult<(Arc<dyn SpillFile>, SpillWriter)> {
    let spilled = session.runtime_env().disk_manager.create_tmp_file("rows of a merge")?;
    let writer = StreamWriter::try_new(BufWriter::new(File::create(path(&spilled)?)?), schema)?;
    Ok((spilled, writer))
}

fn path(spilled: &Arc<dyn SpillFile>) -> QueryResult<&std::path::Path> {
    let missing = || DataFusionError::ResourcesExhausted("temporary files of this session are not on disk".into());
    spilled.path().ok_or_else(missing)
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let memory = futures::stream::iter(self.memory.clone().into_iter().map(Ok));
        let spilled = self.spilled.as_ref().map(|spilled| {
            let open = || -> QueryResult<_> {
                let file = BufReader::new(File::open(path(spilled)?)?);
                Ok(StreamReader::try_new(file, None)?)
            };
            // The reader keeps the file alive by the part, which the plan holds.
            match open() {
                Ok(reader) => futures::stream::iter(reader.map(|batch| batch.map_err(DataFusionError::from))).boxed(),
                Err(error) => futures::stream::iter([Err(error)]).boxed(),
            }
        });
        let rows = memory.chain(futures::stream::iter(spilled).flatten());
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}
