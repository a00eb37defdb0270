//! Why a command could not do its work at all. What a single node suffers is a `NodeResult`, not an error.

use wardlake_connect::ConnectError;
use wardlake_core::{Diagnostics, ErrorKind, HasErrorKind, TableName, TableNameError};
use wardlake_engine::EngineError;
use wardlake_storage::StorageError;

use crate::Holder;

/// A run's failure.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The project has problems; all of them.
    #[error(transparent)]
    Project(#[from] Diagnostics),
    /// A query failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The lake failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A source could not be read.
    #[error("source {table}: {error}")]
    Source {
        /// `<source>.<table>`.
        table: String,
        /// What failed.
        error: ConnectError,
    },
    /// Another server takes deliveries for this lake.
    #[error("{what} is served by {holder}; stop that server first, or wait for its end with --standby")]
    Owned {
        /// The lake, or the folder of the journals.
        what: String,
        /// Who.
        holder: Holder,
    },
    /// The lock that shows who serves a lake cannot be taken.
    #[error("the lock on {folder} cannot be taken: {reason}; let this user write there")]
    Lock {
        /// The folder.
        folder: String,
        /// The system's reason.
        reason: String,
    },
    /// A journal cannot be opened or kept.
    #[error("the journal of {table} in {folder} cannot be used: {reason}")]
    Journal {
        /// `<source>.<table>`.
        table: String,
        /// Where it lies.
        folder: String,
        /// The system's reason.
        reason: String,
    },
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
    /// Rows of one table do not have the shape its writer was promised.
    #[error("{table}: {message}")]
    Shape {
        /// The table.
        table: TableName,
        /// What differs.
        message: String,
    },
    /// Someone pressed Ctrl-C.
    #[error("cancelled; what was committed stays, the rest runs next time")]
    Cancelled,
    /// A task died.
    #[error("a task of this run ended unexpectedly: {message}. Please report it; a rerun starts from the last commit")]
    Task {
        /// What the runtime said.
        message: String,
    },
}

impl HasErrorKind for RunnerError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Project(_) | Self::Name(_) | Self::Config { .. } | Self::Shape { .. } | Self::Gate { .. } => {
                ErrorKind::Invalid
            }
            Self::Engine(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::Source { error, .. } => error.kind(),
            Self::Cancelled | Self::Journal { .. } | Self::Lock { .. } | Self::Owned { .. } => ErrorKind::Unavailable,
            Self::Task { .. } => ErrorKind::Internal,
        }
    }
}

impl From<tokio::task::JoinError> for RunnerError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Task { message: error.to_string() }
    }
}

impl From<arrow::error::ArrowError> for RunnerError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Engine(EngineError::from(datafusion::error::DataFusionError::from(error)))
    }
}

impl From<datafusion::error::DataFusionError> for RunnerError {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        Self::Engine(EngineError::from(error))
    }
}
