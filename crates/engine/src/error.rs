//! What can go wrong between a SQL text and its rows.

use datafusion::error::DataFusionError;
use wardlake_core::{ErrorKind, HasErrorKind};
use wardlake_storage::StorageError;

use crate::dialect::DialectError;

/// A query could not be planned or run. Messages carry no row values.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The text is no SQL that Wardlake reads.
    #[error(transparent)]
    Syntax(#[from] DialectError),
    /// A table or view that is not in this state of the lake.
    #[error("there is no table or view `{name}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownTable {
        /// The name as it was written.
        name: String,
        /// The nearest name that exists.
        nearest: Option<String>,
    },
    /// The text does something other than read.
    #[error("only queries run here: {message}")]
    NotAQuery {
        /// Which statement was refused.
        message: String,
    },
    /// Names or types do not fit.
    #[error("{message}")]
    Plan {
        /// What the planner said.
        message: String,
    },
    /// The rows could not be computed.
    #[error("{message}")]
    Execution {
        /// What failed, without values.
        message: String,
    },
    /// Memory and spill space were not enough.
    #[error(
        "the query needs more memory than its limit: {message}. Raise `memory_limit` in wardlake.yml or lower --threads"
    )]
    ResourcesExhausted {
        /// Which operator asked for how much.
        message: String,
    },
    /// The lake did not answer.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl HasErrorKind for EngineError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Syntax(_) | Self::NotAQuery { .. } | Self::Plan { .. } | Self::Execution { .. } => ErrorKind::Invalid,
            Self::UnknownTable { .. } => ErrorKind::NotFound,
            Self::ResourcesExhausted { .. } => ErrorKind::Unavailable,
            Self::Storage(error) => error.kind(),
        }
    }
}

impl From<DataFusionError> for EngineError {
    fn from(error: DataFusionError) -> Self {
        if let Some(refused) = StorageError::of_disk(&error) {
            return Self::Storage(refused);
        }
        let root = error.find_root();
        match root {
            DataFusionError::ResourcesExhausted(message) => Self::ResourcesExhausted { message: first_line(message) },
            DataFusionError::Plan(message) | DataFusionError::Configuration(message) => {
                Self::Plan { message: first_line(message) }
            }
            DataFusionError::SchemaError(error, _) => Self::Plan { message: first_line(&error.to_string()) },
            DataFusionError::NotImplemented(message) => {
                Self::Plan { message: format!("not supported: {}", first_line(message)) }
            }
            other => Self::Execution { message: without_values(&first_line(&other.to_string())) },
        }
    }
}

/// Planner messages append long hints and backtraces after the first line.
fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim_end().to_owned()
}

/// Cast errors quote the value they failed on; a patient's values never appear in an error.
fn without_values(message: &str) -> String {
    let Some(rest) = message.find("Cannot cast string '").map(|start| start + "Cannot cast string '".len()) else {
        return message.to_owned();
    };
    match message[rest..].find("' to value of") {
        Some(end) => {
            format!("{}…{} (use try_cast to turn such values into NULL)", &message[..rest], &message[rest + end..])
        }
        None => message[..rest].to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cast_errors_hide_the_value() {
        let text = without_values("Arrow error: Cast error: Cannot cast string 'SSN-999' to value of Int32 type");
        assert!(!text.contains("999"), "{text}");
        assert!(text.contains("Int32"), "{text}");
    }
}
