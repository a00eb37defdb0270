//! Why nothing could be built at all. What a single node suffers is a `NodeResult`, not an error.

use wardlake_core::{Diagnostics, ErrorKind, HasErrorKind, TableName, TableNameError};
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
    /// A node's schema and name are no table's name.
    #[error("{node}: `{name}` is no name for a table of the lake")]
    NoTableName {
        /// The node.
        node: String,
        /// `<schema>.<name>`.
        name: String,
    },
    /// What a model says of its rows names a relation that there is not.
    #[error("{node}: `{relation}` is no table of the lake")]
    NoRelation {
        /// The model.
        node: String,
        /// As written.
        relation: String,
    },
    /// What a model says of its rows names a column that it has not.
    #[error(
        "{node}: {what} asks for column `{column}`{}",
        nearest.as_ref().map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
    )]
    NoColumn {
        /// The model.
        node: String,
        /// Which of its settings.
        what: String,
        /// The column.
        column: String,
        /// One of its columns that is nearly called so.
        nearest: Option<String>,
    },
    /// A rule compares a value with its raw text, and the model does not select the text.
    #[error(
        "{node}: {what} asks for column `{column}`; select the raw text of `{raw}` as `{column}` in the model, as the macro \
         audit_columns() does"
    )]
    NoRawColumn {
        /// The model.
        node: String,
        /// Which of its settings.
        what: String,
        /// The column.
        raw: String,
        /// The column of its raw text.
        column: String,
    },
    /// A view declares expectations.
    #[error(
        "{node}: expectations are evaluated while rows are written, and a view has none; materialize it as table or \
         incremental, or move them to a model it reads"
    )]
    AuditedView {
        /// The view.
        node: String,
    },
    /// A materialization that there is not.
    #[error("{node}: there is no materialization `{name}`; use view, table, incremental or ephemeral")]
    NoMaterialization {
        /// The model.
        node: String,
        /// As written.
        name: String,
    },
    /// The rows of what `changes()` names have no versions.
    #[error(
        "{target}: changes() needs a table with versions, and {upstream} is none; materialize it as table or incremental, \
         or load it first"
    )]
    ChangesOfNoTable {
        /// The table of the model that asks.
        target: TableName,
        /// What it asks the changes of.
        upstream: TableName,
    },
    /// What a model has read of a table says nothing about the table of that name now.
    #[error("{target}: {upstream} was made anew or set back since this model read it; run it with --full-refresh")]
    UpstreamReset {
        /// The model's table.
        target: TableName,
        /// The table it reads.
        upstream: TableName,
    },
    /// What `matching()` names is no table.
    #[error("matching() needs a table, and {upstream} is none; materialize it as table or incremental")]
    MatchingNoTable {
        /// What it names.
        upstream: TableName,
    },
    /// A test's query gave no row to judge by.
    #[error("{test}: its query returned no row; fail_calc must be an aggregate")]
    NoAggregate {
        /// The test.
        test: String,
    },
    /// Rows break rules that a gate does not let through, or are unaccounted for. Nothing was written.
    #[error("{node}: the gate failed, the table stays as it was\n{reason}")]
    Gate {
        /// The model.
        node: String,
        /// Every reason, a line each; counts only.
        reason: String,
    },
    /// What a model would be judged by could not be counted.
    #[error("{what} could not be counted: the query gave no number. Please report it; the table stays as it was")]
    NotCounted {
        /// Which rows.
        what: String,
    },
    /// What is kept of this run for the next one cannot be written down.
    #[error("what is kept for the next build cannot be written: {source}. Please report it")]
    Kept {
        /// Why.
        source: serde_json::Error,
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
            Self::Project(_)
            | Self::Name(_)
            | Self::NoTableName { .. }
            | Self::NoRelation { .. }
            | Self::NoColumn { .. }
            | Self::NoRawColumn { .. }
            | Self::AuditedView { .. }
            | Self::NoMaterialization { .. }
            | Self::ChangesOfNoTable { .. }
            | Self::UpstreamReset { .. }
            | Self::MatchingNoTable { .. }
            | Self::NoAggregate { .. }
            | Self::Gate { .. } => ErrorKind::Invalid,
            Self::Engine(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::NotCounted { .. } | Self::Kept { .. } | Self::Task { .. } => ErrorKind::Internal,
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
