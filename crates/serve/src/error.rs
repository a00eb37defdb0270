//! Why the server could not start or go on, and the one table from error kinds to HTTP statuses.

use std::{io, net::SocketAddr};

use axum::http::StatusCode;
use wardlake_build::BuildError;
use wardlake_core::{ErrorKind, HasErrorKind};
use wardlake_engine::EngineError;
use wardlake_load::LoadError;
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
    /// Settings that only the server reads are wrong.
    #[error("{message}")]
    Config {
        /// What and what to do.
        message: String,
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
            Self::Config { .. } => ErrorKind::Invalid,
            Self::Bind { .. } | Self::Listen { .. } | Self::Threads { .. } => ErrorKind::Unavailable,
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
