//! What can go wrong between a SQL text and its rows.

use datafusion::{common::SchemaError, error::DataFusionError};
use wardlake_core::{ErrorKind, HasErrorKind, TableName};
use wardlake_storage::StorageError;

use crate::{dialect::DialectError, words};

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
    /// Views read one another in a circle.
    #[error(
        "view `{}` reads itself ({}); change the query of one of them, or materialize it as a table, and build it again",
        views.first().map(ToString::to_string).unwrap_or_default(),
        views.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → ")
    )]
    ViewCycle {
        /// The views in the order in which they read one another; the first is also the last.
        views: Vec<TableName>,
    },
    /// The text does something other than read.
    #[error("only queries run here: {message}")]
    NotAQuery {
        /// Which statement was refused.
        message: String,
    },
    /// A column that nothing which the query reads has.
    #[error("there is no column `{name}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownColumn {
        /// The column alone.
        column: String,
        /// With what it is a column of, if that is said.
        name: String,
        /// The nearest column that there is.
        nearest: Option<String>,
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
    #[error("{}", words::with_cause(.0))]
    Storage(#[from] StorageError),
}

impl HasErrorKind for EngineError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Syntax(_)
            | Self::NotAQuery { .. }
            | Self::UnknownColumn { .. }
            | Self::Plan { .. }
            | Self::Execution { .. }
            | Self::ViewCycle { .. } => ErrorKind::Invalid,
            Self::UnknownTable { .. } => ErrorKind::NotFound,
            Self::ResourcesExhausted { .. } => ErrorKind::Unavailable,
            Self::Storage(error) => error.kind(),
        }
    }
}

impl From<DataFusionError> for EngineError {
    fn from(error: DataFusionError) -> Self {
        let error = match own(error) {
            Ok(own) => return own,
            Err(error) => error,
        };
        if let Some(refused) = StorageError::of_disk(&error) {
            return Self::Storage(refused);
        }
        match error.find_root() {
            DataFusionError::ResourcesExhausted(message) => {
                Self::ResourcesExhausted { message: wardlake_storage::refused_memory(message) }
            }
            DataFusionError::Plan(message) | DataFusionError::Configuration(message) => {
                Self::Plan { message: planned(message) }
            }
            DataFusionError::SchemaError(error, _) => of_schema(error),
            DataFusionError::NotImplemented(message) => {
                Self::Plan { message: format!("not supported: {}", first_line(message)) }
            }
            _ => Self::Execution { message: words::without_values(&error) },
        }
    }
}

/// The error of this crate that travelled through DataFusion, or what came in.
fn own(error: DataFusionError) -> Result<EngineError, DataFusionError> {
    match error {
        DataFusionError::External(error) => match error.downcast::<EngineError>() {
            Ok(own) => Ok(*own),
            Err(error) => Err(DataFusionError::External(error)),
        },
        DataFusionError::Context(text, error) => {
            own(*error).map_err(|error| DataFusionError::Context(text, Box::new(error)))
        }
        other => Err(other),
    }
}

/// An error on its way out of a stream of rows. What may quote a value becomes this crate's own words: writers put their errors
/// around it, and people read those.
pub(crate) fn sealed(error: DataFusionError) -> DataFusionError {
    if StorageError::of_disk(&error).is_some() || !words::may_quote_values(error.find_root()) {
        return error;
    }
    DataFusionError::External(Box::new(EngineError::from(error)))
}

/// How the text begins that a function is unknown; its name follows, and a backtick.
pub(crate) const NO_FUNCTION: &str = "there is no function `";

/// What the planner says, in a sentence.
fn planned(message: &str) -> String {
    let line = first_line(message);
    match line.strip_prefix("Invalid function '").and_then(|rest| rest.strip_suffix("'.")) {
        Some(name) => format!("{NO_FUNCTION}{name}`; `wardlake functions` lists those of Wardlake's own"),
        None => line,
    }
}

fn of_schema(error: &SchemaError) -> EngineError {
    let line = first_line(&error.to_string());
    let SchemaError::FieldNotFound { field, .. } = error else { return EngineError::Plan { message: line } };
    let nearest = line.split_once(". Did you mean '").and_then(|(_, near)| near.strip_suffix("'?"));
    EngineError::UnknownColumn {
        column: field.name.clone(),
        name: field.quoted_flat_name(),
        nearest: nearest.map(str::to_owned),
    }
}

/// Planner messages append long hints and backtraces after the first line.
fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use arrow::error::ArrowError;

    use super::*;

    fn cast_error() -> DataFusionError {
        ArrowError::CastError("Cannot cast string 'SSN-999' to value of Int32 type".to_owned()).into()
    }

    #[test]
    fn what_leaves_a_stream_says_nothing_of_values() {
        let sealed = sealed(cast_error().context("while writing"));
        let text = format!("{sealed} {sealed:?}");
        assert!(!text.contains("999") && text.contains("integer"), "{text}");
        // Once more through the door it is what it was.
        assert!(matches!(EngineError::from(sealed), EngineError::Execution { .. }));
    }

    #[test]
    fn an_error_of_ours_comes_out_as_it_went_in() {
        let inner = EngineError::NotAQuery { message: "x".to_owned() };
        let wrapped = DataFusionError::External(Box::new(inner)).context("resolving a view");
        assert!(matches!(EngineError::from(wrapped), EngineError::NotAQuery { .. }));
    }
}
