//! Why the server could not start or go on, and the one table from error kinds to HTTP statuses.

use std::{io, net::SocketAddr};

use axum::http::StatusCode;
use wardlake_build::BuildError;
use wardlake_core::{ErrorKind, HasErrorKind};
use wardlake_engine::EngineError;
use wardlake_load::{Holder, LoadError};
use wardlake_records::RecordsError;
use wardlake_storage::StorageError;

/// A server's failure.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Sources cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Models cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The lake's own tables cannot be read or written.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// A query failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The lake failed.
    #[error("{}", wardlake_engine::with_cause(.0))]
    Storage(#[from] StorageError),
    /// Another server has the lake, or the folder of the journals.
    #[error("{what} is served by {holder}; stop that server first, or wait for its end with --standby")]
    Owned {
        /// The lake, or the folder.
        what: String,
        /// Who.
        holder: Holder,
    },
    /// An address cannot be listened on.
    #[error("cannot listen for {protocol} on {address}: {source}; choose another address, or port 0 for a free one")]
    Bind {
        /// `http` or `mllp`.
        protocol: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// A listener stopped working.
    #[error("a listener stopped: {source}")]
    Listen {
        /// The system's reason.
        source: io::Error,
    },
    /// Threads cannot be started.
    #[error("cannot start threads: {source}; allow the server more processes")]
    Threads {
        /// The system's reason.
        source: io::Error,
    },
    /// An address for messages is given, and no table takes any.
    #[error("--mllp needs a source table with an `mllp` block")]
    NoMessageTable,
    /// One address for messages is given, and several tables take them.
    #[error("--mllp names one address for {count} source tables; give each a `listen` of its own")]
    SeveralMessageTables {
        /// Those tables.
        count: usize,
    },
    /// What a source table writes for its address is none.
    #[error("source {table}: `mllp.listen` is `{text}`; write `127.0.0.1:2575`")]
    ListenAddress {
        /// `<source>.<table>`.
        table: String,
        /// As written.
        text: String,
    },
    /// A certificate or key of a source table cannot be used.
    #[error("source {table}: {file} cannot be used for TLS: {reason}")]
    Tls {
        /// `<source>.<table>`.
        table: String,
        /// The file, as written.
        file: String,
        /// Why.
        reason: String,
    },
    /// The system tells nothing of new files.
    #[error("folders cannot be watched: {reason}")]
    Watch {
        /// The system's reason.
        reason: String,
    },
    /// The rows of an alert lack a column of its key.
    #[error("its `key` names the column `{column}`, which its rows do not have; correct alerts.yml")]
    AlertKey {
        /// The column.
        column: String,
    },
    /// What the server keeps for its next start cannot be written down.
    #[error("what is kept for the next start cannot be written: {source}")]
    Notes {
        /// Why.
        source: serde_json::Error,
    },
    /// A task died.
    #[error(
        "a task of the server ended unexpectedly: {message}. Please report it; what was acknowledged is in the journal"
    )]
    Task {
        /// What the runtime said.
        message: String,
    },
}

impl ServeError {
    pub(crate) fn notes(source: serde_json::Error) -> Self {
        Self::Notes { source }
    }

    pub(crate) fn task(error: tokio::task::JoinError) -> Self {
        Self::Task { message: error.to_string() }
    }
}

impl HasErrorKind for ServeError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Load(error) => error.kind(),
            Self::Build(error) => error.kind(),
            Self::Records(error) => error.kind(),
            Self::Engine(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::NoMessageTable
            | Self::SeveralMessageTables { .. }
            | Self::ListenAddress { .. }
            | Self::Tls { .. }
            | Self::AlertKey { .. } => ErrorKind::Invalid,
            Self::Owned { .. }
            | Self::Bind { .. }
            | Self::Listen { .. }
            | Self::Threads { .. }
            | Self::Watch { .. } => ErrorKind::Unavailable,
            Self::Notes { .. } | Self::Task { .. } => ErrorKind::Internal,
        }
    }
}

/// The status a kind of error is answered with.
pub(crate) fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Denied => StatusCode::FORBIDDEN,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
