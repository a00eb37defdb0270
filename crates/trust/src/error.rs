//! Why a question about the data could not be answered, or a decision not be taken.

use wardlake_build::BuildError;
use wardlake_core::{ErrorKind, HasErrorKind, TableName, TableNameError};
use wardlake_engine::EngineError;
use wardlake_load::LoadError;
use wardlake_records::RecordsError;
use wardlake_storage::StorageError;

use crate::identity::IdentityRefusal;

/// What could not be answered or decided.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A query failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The lake failed.
    #[error("{}", wardlake_engine::with_cause(.0))]
    Storage(#[from] StorageError),
    /// A name that cannot be a table of the lake.
    #[error(transparent)]
    Name(#[from] TableNameError),
    /// No model, seed or snapshot is called so.
    #[error(
        "there is no model, seed or snapshot `{name}`{}",
        nearest.as_ref().map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
    )]
    NoModel {
        /// As asked for.
        name: String,
        /// One that is nearly called so.
        nearest: Option<String>,
    },
    /// No model that declares expectations is called so.
    #[error(
        "no model `{model}` declares expectations{}",
        nearest.as_ref().map_or_else(|| among(known), |near| format!("; did you mean `{near}`?"))
    )]
    NoExpectations {
        /// As asked for.
        model: String,
        /// One that is nearly called so.
        nearest: Option<String>,
        /// Those that do.
        known: Vec<String>,
    },
    /// No rule is called so.
    #[error(
        "there is no rule `{rule}`{}",
        nearest.as_ref().map_or_else(|| among(known), |near| format!("; did you mean `{near}`?"))
    )]
    NoRule {
        /// As asked for.
        rule: String,
        /// One that is nearly called so.
        nearest: Option<String>,
        /// Those there are.
        known: Vec<String>,
    },
    /// A node or source is no table of the lake.
    #[error("`{name}` is no table of the lake")]
    NotATable {
        /// Which.
        name: String,
    },
    /// A table that no epoch has.
    #[error("{table} is not published yet; run `wardlake build`")]
    NotPublished {
        /// Which.
        table: TableName,
    },
    /// A source table of which nothing was loaded.
    #[error("{table} is not in the lake; run `wardlake ingest`")]
    NotLoaded {
        /// Which.
        table: TableName,
    },
    /// A table that the expectations of a simulated hospital speak of.
    #[error("there is no table {table}; build the hospital project")]
    NoTable {
        /// Which.
        table: TableName,
    },
    /// No column is called so.
    #[error(
        "{table} has no column `{column}`{}",
        nearest.as_ref().map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
    )]
    NoColumn {
        /// The table, or `the source`.
        table: String,
        /// As asked for.
        column: String,
        /// One that is nearly called so.
        nearest: Option<String>,
    },
    /// No row has the value asked for, which is not repeated: it may be a patient's.
    #[error("{table} has no row whose `{column}` is that value")]
    NoRow {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
    },
    /// Rows are corrected where they were received, and a model's rows are not those of one source.
    #[error(
        "`{model}` is made from {input}, not from one source: correct the rows in the model that reads the source; if each \
         row of `{model}` is a row of one source, say so with `input: source(…)`"
    )]
    NotFromSource {
        /// The model.
        model: String,
        /// What it is made from.
        input: String,
    },
    /// A table of ours lacks a column that we write.
    #[error("the lake's own table lacks its column `{column}`")]
    OwnColumn {
        /// The column.
        column: String,
    },
    /// No run has that id.
    #[error("there is no run `{wanted}`; `wardlake sql \"select * from system.runs\"` lists them")]
    NoRun {
        /// As asked for.
        wanted: String,
    },
    /// The page of the quality report cannot be made.
    #[error("the quality report's page cannot be made: {reason}")]
    Page {
        /// What its template met.
        reason: String,
    },
    /// There is no room for the tables that bounds are worked out with.
    #[error("no folder for temporary tables could be made: {reason}; free space or set TMPDIR")]
    NoTemporaryFolder {
        /// The system's reason.
        reason: String,
    },
    /// A figure that a model declares is none of its columns.
    #[error("{node}: `kpi` asks for column `{column}`, which is not there")]
    KpiFigure {
        /// The model.
        node: String,
        /// The column.
        column: String,
    },
    /// The key that a model declares for its figures is none of its columns.
    #[error("`kpi` asks for the key `{column}`, which is not there")]
    KpiKey {
        /// The column.
        column: String,
    },
    /// A decision about patient records that cannot be taken.
    #[error(transparent)]
    Identity(#[from] IdentityRefusal),
    /// Rows of one table do not have the shape its writer was promised.
    #[error("{table}: {message}")]
    Shape {
        /// The table.
        table: TableName,
        /// What differs.
        message: String,
    },
    /// A task died.
    #[error("a task of this run ended unexpectedly: {message}. Please report it; a rerun starts from the last commit")]
    Task {
        /// What the runtime said.
        message: String,
    },
    /// The lake's own tables could not be read or written.
    #[error(transparent)]
    Records(RecordsError),
    /// What was received, or a seed, could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A model could not be compiled, or its rows not be had.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// What there is instead of a name that is none.
fn among(known: &[String]) -> String {
    match known.is_empty() {
        true => "; there is none".to_owned(),
        false => format!("; there are: {}", known.join(", ")),
    }
}

impl HasErrorKind for TrustError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Engine(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::Name(_)
            | Self::NotATable { .. }
            | Self::NotFromSource { .. }
            | Self::KpiFigure { .. }
            | Self::KpiKey { .. }
            | Self::Shape { .. } => ErrorKind::Invalid,
            Self::NoModel { .. }
            | Self::NoExpectations { .. }
            | Self::NoRule { .. }
            | Self::NotPublished { .. }
            | Self::NotLoaded { .. }
            | Self::NoTable { .. }
            | Self::NoColumn { .. }
            | Self::NoRow { .. }
            | Self::NoRun { .. } => ErrorKind::NotFound,
            Self::Identity(refusal) => refusal.kind(),
            Self::NoTemporaryFolder { .. } => ErrorKind::Unavailable,
            Self::OwnColumn { .. } | Self::Page { .. } | Self::Task { .. } => ErrorKind::Internal,
            Self::Records(error) => error.kind(),
            Self::Load(error) => error.kind(),
            Self::Build(error) => error.kind(),
        }
    }
}

impl From<tokio::task::JoinError> for TrustError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Task { message: error.to_string() }
    }
}

/// A query is a query and the lake the lake, whoever asked.
impl From<RecordsError> for TrustError {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::Engine(error) => Self::Engine(error),
            RecordsError::Storage(error) => Self::Storage(error),
            RecordsError::Name(error) => Self::Name(error),
            other => Self::Records(other),
        }
    }
}

impl From<arrow::error::ArrowError> for TrustError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Engine(EngineError::from(datafusion::error::DataFusionError::from(error)))
    }
}

impl From<datafusion::error::DataFusionError> for TrustError {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        Self::Engine(EngineError::from(error))
    }
}
