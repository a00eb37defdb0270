//! Why nothing could be loaded at all. What a single source suffers is a `NodeResult`, not an error.

use wardlake_connect::ConnectError;
use wardlake_core::{Diagnostics, ErrorKind, HasErrorKind, TableName, TableNameError};
use wardlake_engine::EngineError;
use wardlake_records::RecordsError;
use wardlake_storage::StorageError;

use crate::Holder;

/// A load's failure.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The project has problems; all of them.
    #[error(transparent)]
    Project(#[from] Diagnostics),
    /// A query failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The lake failed.
    #[error("{}", wardlake_engine::with_cause(.0))]
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
    #[error("{what} is served by {holder}; stop that server first")]
    Owned {
        /// The lake, or the folder of the journals.
        what: String,
        /// Who.
        holder: Holder,
    },
    /// This server owned the lake, and another one may own it now.
    #[error(
        "this server no longer owns {what}: {reason}. It writes nothing more and stops; what it acknowledged is in its journal. Start it \
         again with the same --journal, and with --standby beside another server"
    )]
    Lost {
        /// The lake.
        what: String,
        /// What became of its lease.
        reason: String,
    },
    /// The lock that shows who serves a lake cannot be taken.
    #[error("the lock on {folder} cannot be taken: {reason}; let this user write there")]
    Lock {
        /// The folder.
        folder: String,
        /// The system's reason.
        reason: String,
    },
    /// Deliveries have to be on a disk before they are acknowledged, and the lake is on none.
    #[error(
        "what is delivered to {} is acknowledged once it is on a disk of this machine, and the lake is in an object store; name a folder \
         of this machine with --journal DIR, the same one at every start",
        tables.join(", ")
    )]
    NoJournal {
        /// The tables that take deliveries, as `<source>.<table>`.
        tables: Vec<String>,
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
    /// The settings of a seed's file are wrong.
    #[error("seed {seed}: {}", problems.join("; "))]
    SeedSettings {
        /// The seed.
        seed: String,
        /// Every problem.
        problems: Vec<String>,
    },
    /// Lines of a seed's file are no records.
    #[error("{path}:{line}: {reason} ({count} such lines in this seed)")]
    SeedLine {
        /// The file.
        path: String,
        /// The first such line.
        line: u64,
        /// Why it is none.
        reason: String,
        /// All such lines.
        count: usize,
    },
    /// A seed's `column_types` name a type that there is not.
    #[error("seed {seed}: column_types gives {column} the unknown type `{sql}`")]
    SeedType {
        /// The seed.
        seed: String,
        /// The column.
        column: String,
        /// The type, as written.
        sql: String,
    },
    /// A value of a seed cannot be read as its column's type.
    #[error("{path}: a value of column {column} in record {record} is no {data_type}")]
    SeedValue {
        /// The file.
        path: String,
        /// The column.
        column: String,
        /// The record, from 1.
        record: usize,
        /// The type.
        data_type: String,
    },
    /// The kept bytes of a loaded file are needed once more and are not there.
    #[error("{file}: its landed bytes ({sha256}) are gone; restore the lake's _landing folder")]
    LandingGone {
        /// The file, as it was found.
        file: String,
        /// Of its bytes.
        sha256: String,
    },
    /// No source table of that name is fed while a server runs.
    #[error(
        "there is no feed `{feed}`{}",
        nearest.as_ref().map_or_else(|| feeds_among(known), |near| format!("; did you mean `{near}`?"))
    )]
    NoFeed {
        /// As asked for.
        feed: String,
        /// One that is nearly called so.
        nearest: Option<String>,
        /// Those there are, `<source>.<table>`.
        known: Vec<String>,
    },
    /// No delivery of that number is set aside.
    #[error(
        "no delivery {number}{} is set aside; `wardlake feed list` shows those that are",
        feed.as_ref().map_or_else(String::new, |feed| format!(" of {feed}"))
    )]
    NotSetAside {
        /// Its number.
        number: String,
        /// The feed, where one was named.
        feed: Option<String>,
    },
    /// Several feeds have a delivery of that number set aside.
    #[error("a delivery {number} is set aside in each of {}; name one with --feed", feeds.join(", "))]
    SetAsideTwice {
        /// Its number.
        number: String,
        /// The feeds.
        feeds: Vec<String>,
    },
    /// What a table keeps of its own loads cannot be read: what was loaded is not known, and nothing more is.
    #[error(
        "{table}: {what} cannot be read: {reason}. Nothing was loaded; restore the table from a copy, or read it with the version of \
         wardlake that wrote it"
    )]
    Unreadable {
        /// The table.
        table: TableName,
        /// What of it.
        what: String,
        /// Why.
        reason: String,
    },
    /// Something that is always so was not.
    #[error("{table}: {what}. Please report it; nothing of this load was written")]
    Broken {
        /// `<source>.<table>`.
        table: String,
        /// What was not so.
        what: String,
    },
    /// A file cannot be read once more; its table is as it was.
    #[error("{table}: {file} cannot be read again: {reason}; the table is as it was")]
    NotReadAgain {
        /// `<source>.<table>`.
        table: String,
        /// The file, as it was found.
        file: String,
        /// What failed, and what to do.
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
    /// The lake's own tables could not be read or written.
    #[error(transparent)]
    Records(RecordsError),
}

fn feeds_among(known: &[String]) -> String {
    match known.is_empty() {
        true => "; no source table takes deliveries or follows a log".to_owned(),
        false => format!("; there are: {}", known.join(", ")),
    }
}

impl HasErrorKind for LoadError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Project(_)
            | Self::Name(_)
            | Self::SeedSettings { .. }
            | Self::SeedLine { .. }
            | Self::SeedType { .. }
            | Self::SeedValue { .. }
            | Self::SetAsideTwice { .. }
            | Self::Shape { .. }
            | Self::Unreadable { .. }
            | Self::NoJournal { .. }
            | Self::NotReadAgain { .. } => ErrorKind::Invalid,
            Self::LandingGone { .. } | Self::NoFeed { .. } | Self::NotSetAside { .. } => ErrorKind::NotFound,
            Self::Engine(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::Source { error, .. } => error.kind(),
            Self::Owned { .. } | Self::Lost { .. } | Self::Lock { .. } | Self::Journal { .. } | Self::Cancelled => {
                ErrorKind::Unavailable
            }
            Self::Task { .. } | Self::Broken { .. } => ErrorKind::Internal,
            Self::Records(error) => error.kind(),
        }
    }
}

impl From<tokio::task::JoinError> for LoadError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Task { message: error.to_string() }
    }
}

/// A query is a query and the lake the lake, whoever asked.
impl From<RecordsError> for LoadError {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::Engine(error) => Self::Engine(error),
            RecordsError::Storage(error) => Self::Storage(error),
            RecordsError::Name(error) => Self::Name(error),
            other => Self::Records(other),
        }
    }
}

impl From<arrow::error::ArrowError> for LoadError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Engine(EngineError::from(datafusion::error::DataFusionError::from(error)))
    }
}

impl From<datafusion::error::DataFusionError> for LoadError {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        Self::Engine(EngineError::from(error))
    }
}
