//! Runs `.slt` files (sqllogictest) over a DataFusion session with Wardlake's functions and dialect.
//!
//! A file is a manual page: prose in comments, statements and queries with their results. Column types in `query`
//! lines (`T`, `I`, `R`) document what a reader sees and are not checked.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use arrow::{
    array::{Array, ArrayRef},
    datatypes::DataType,
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::{error::DataFusionError, execution::context::SessionContext, physical_plan::execute_stream};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner, TestError};
use wardlake_engine::{dialect, functions};

/// Why a folder of `.slt` files did not pass.
#[derive(Debug, thiserror::Error)]
pub enum SltError {
    /// A record of a file gave another result.
    #[error("{}: {source}", .path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// The record, with its line, and the difference.
        #[source]
        source: Box<TestError>,
    },
    /// The folder or a file could not be read.
    #[error("{}: {source}", .path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The functions could not be registered.
    #[error("a session could not be made: {0}")]
    Session(#[from] DataFusionError),
}

/// What a statement in an `.slt` file ran into.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is no statement.
    #[error("{0}")]
    Dialect(#[from] dialect::DialectError),
    /// Planning or running it failed.
    #[error("{0}")]
    DataFusion(#[from] DataFusionError),
}

/// A session that `.slt` records run in.
pub struct SltSession {
    ctx: SessionContext,
}

impl SltSession {
    /// A session over `ctx`, which already has the functions.
    pub fn new(ctx: SessionContext) -> Self {
        Self { ctx }
    }

    /// An empty in-memory session with Wardlake's functions.
    pub fn in_memory() -> Result<Self, DataFusionError> {
        let ctx = SessionContext::new();
        functions::register_all(&ctx)?;
        Ok(Self { ctx })
    }

    async fn query(&self, sql: &str) -> Result<DBOutput<DefaultColumnType>, QueryError> {
        let mut output = DBOutput::StatementComplete(0);
        for statement in dialect::rewrite(sql)? {
            let state = self.ctx.state();
            let plan = state.statement_to_plan(statement).await?;
            let frame = self.ctx.execute_logical_plan(plan).await?;
            let columns = frame.schema().fields().len();
            let physical = frame.create_physical_plan().await?;
            let stream = execute_stream(physical, self.ctx.task_ctx())?;
            let batches = datafusion::physical_plan::common::collect(stream).await?;
            if columns > 0 {
                let mut rows = Vec::new();
                for batch in &batches {
                    rows.extend(texts(batch.columns(), batch.num_rows())?);
                }
                output = DBOutput::Rows { types: vec![DefaultColumnType::Any; columns], rows };
            }
        }
        Ok(output)
    }
}

#[async_trait::async_trait]
impl AsyncDB for SltSession {
    type Error = QueryError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, QueryError> {
        self.query(sql).await
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "wardlake"
    }
}

/// One text per cell: `NULL`, `(empty)` for '', floats in their shortest form.
fn texts(columns: &[ArrayRef], rows: usize) -> Result<Vec<Vec<String>>, DataFusionError> {
    let options = FormatOptions::default().with_null("NULL").with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"));
    let options = options.with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f%:z"));
    let mut out = vec![Vec::with_capacity(columns.len()); rows];
    for column in columns {
        let formatter = ArrayFormatter::try_new(column, &options)?;
        for (row, cells) in out.iter_mut().enumerate() {
            let text = formatter.value(row).try_to_string()?;
            let is_text = matches!(column.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
            cells.push(if is_text && text.is_empty() && column.is_valid(row) { "(empty)".to_owned() } else { text });
        }
    }
    Ok(out)
}

/// Runs one `.slt` file in sessions that `session` makes.
pub async fn run_file_with(
    path: impl AsRef<Path>,
    session: impl Fn() -> Result<SltSession, DataFusionError>,
) -> Result<(), SltError> {
    let path = path.as_ref();
    let mut runner = Runner::new(|| std::future::ready(session().map_err(QueryError::from)));
    runner
        .run_file_async(path)
        .await
        .map_err(|source| SltError::Failed { path: path.to_owned(), source: Box::new(source) })
}

/// Runs one `.slt` file in an empty in-memory session.
pub async fn run_file(path: impl AsRef<Path>) -> Result<(), SltError> {
    run_file_with(path, SltSession::in_memory).await
}

/// Runs every `.slt` file of a folder, each in a session of its own, and returns what failed.
pub async fn run_folder(folder: impl AsRef<Path>) -> Result<(), Vec<SltError>> {
    let folder = folder.as_ref();
    let unreadable = |source| vec![SltError::Unreadable { path: folder.to_owned(), source }];
    let mut paths = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>())
        .map_err(unreadable)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "slt"));
    paths.sort();
    if paths.is_empty() {
        return Err(unreadable(io::Error::new(io::ErrorKind::NotFound, "no .slt files")));
    }
    let mut failures = Vec::new();
    for path in paths {
        if let Err(failure) = run_file(&path).await {
            failures.push(failure);
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures) }
}
