//! Why the lake's own tables could not be read or written.

use wardlake_core::{ErrorKind, HasErrorKind, TableName, TableNameError};
use wardlake_engine::EngineError;
use wardlake_storage::StorageError;

/// A failure of the lake's own tables.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// A query failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The lake failed.
    #[error("{}", wardlake_engine::with_cause(.0))]
    Storage(#[from] StorageError),
    /// A name that cannot be a table of the lake.
    #[error(transparent)]
    Name(#[from] TableNameError),
    /// One of the lake's own tables was written by another version.
    #[error("{table} has other columns than this version of wardlake writes")]
    Columns {
        /// The table.
        table: TableName,
    },
    /// Something that is kept as JSON cannot be written as such.
    #[error("{what} of system.{table} cannot be written down: {source}. Please report it")]
    Unwritable {
        /// The table's name.
        table: &'static str,
        /// Its column.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
}

impl HasErrorKind for RecordsError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Engine(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::Name(_) | Self::Columns { .. } => ErrorKind::Invalid,
            Self::Unwritable { .. } => ErrorKind::Internal,
        }
    }
}

impl From<arrow::error::ArrowError> for RecordsError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Engine(EngineError::from(datafusion::error::DataFusionError::from(error)))
    }
}

impl From<datafusion::error::DataFusionError> for RecordsError {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        Self::Engine(EngineError::from(error))
    }
}
