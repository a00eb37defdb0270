//! Why a question about the data could not be answered, or a decision not be taken.

use wardlake_build::BuildError;
use wardlake_core::{ErrorKind, HasErrorKind, TableName, TableNameError};
use wardlake_engine::EngineError;
use wardlake_load::LoadError;
use wardlake_records::RecordsError;
use wardlake_storage::StorageError;

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
    /// A model's settings ask for something it cannot have.
    #[error("{message}")]
    Config {
        /// What and what to do.
        message: String,
    },
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

impl HasErrorKind for TrustError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Engine(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::Name(_) | Self::Config { .. } | Self::Shape { .. } => ErrorKind::Invalid,
            Self::Task { .. } => ErrorKind::Internal,
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
