//! Why nothing could be built at all. What a single node suffers is a `NodeResult`, not an error.

use wardlake_core::{Diagnostics, ErrorKind, HasErrorKind, TableNameError};
use wardlake_engine::EngineError;
use wardlake_load::LoadError;
use wardlake_records::RecordsError;
use wardlake_storage::StorageError;

/// A build's failure.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The project has problems; all of them.
    #[error(transparent)]
    Project(#[from] Diagnostics),
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
    /// Rows break rules that a gate does not let through, or are unaccounted for. Nothing was written.
    #[error("{node}: the gate failed, the table stays as it was\n{reason}")]
    Gate {
        /// The model.
        node: String,
        /// Every reason, a line each; counts only.
        reason: String,
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
}

impl HasErrorKind for BuildError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Project(_) | Self::Name(_) | Self::Config { .. } | Self::Gate { .. } => ErrorKind::Invalid,
            Self::Engine(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::Task { .. } => ErrorKind::Internal,
            Self::Records(error) => error.kind(),
            Self::Load(error) => error.kind(),
        }
    }
}

impl From<tokio::task::JoinError> for BuildError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Task { message: error.to_string() }
    }
}

/// A query is a query and the lake the lake, whoever asked.
impl From<RecordsError> for BuildError {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::Engine(error) => Self::Engine(error),
            RecordsError::Storage(error) => Self::Storage(error),
            RecordsError::Name(error) => Self::Name(error),
            other => Self::Records(other),
        }
    }
}

impl From<arrow::error::ArrowError> for BuildError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Engine(EngineError::from(datafusion::error::DataFusionError::from(error)))
    }
}

impl From<datafusion::error::DataFusionError> for BuildError {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        Self::Engine(EngineError::from(error))
    }
}
