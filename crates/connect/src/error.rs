//! Why a source could not be found or read at all. A record that cannot be read is no error but a [`crate::Rejected`].

use std::{io, path::PathBuf};

use wardlake_core::{ErrorKind, HasErrorKind};

/// What stops the reading of a source. After an error of [`crate::read`] nothing of that file may be kept.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The source's folder does not exist.
    #[error("folder {} does not exist; create it or correct `root` and `path` of the source table", path.display())]
    RootMissing {
        /// The folder that was looked for.
        path: PathBuf,
    },
    /// A `path` pattern is no glob.
    #[error("path pattern `{pattern}` cannot be used: {message}")]
    BadPattern {
        /// The pattern as written.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// The operating system refused a folder or file.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is still being written; the next run takes it.
    #[error("{} is not complete yet ({reason}); it is left for the next run", path.display())]
    Unfinished {
        /// The file.
        path: PathBuf,
        /// How that was seen.
        reason: &'static str,
    },
    /// The file as a whole is not of its format.
    #[error("{} is not a readable {format} file: {message}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The format it was read as.
        format: &'static str,
        /// What is wrong, without values of the file.
        message: String,
    },
    /// A delivery that was received whole is not whole.
    #[error("{} is cut short ({reason}); send it whole", path.display())]
    CutShort {
        /// What stands for the delivery.
        path: PathBuf,
        /// How that was seen.
        reason: &'static str,
    },
    /// The columns of a file or delivery cannot be those of its table.
    #[error("{} cannot be loaded: {message}", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        message: String,
    },
    /// A file or delivery is of another format than its table.
    #[error("{} is {found}, and the source table takes {wanted}; correct its `format.type`, or what is sent", path.display())]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// What it is, or says that it is.
        found: &'static str,
        /// What the table takes.
        wanted: &'static str,
    },
    /// `format.records` names nothing that holds records.
    #[error("{} has no array or object at `{pointer}`; correct `format.records` of the source table", path.display())]
    RecordsMissing {
        /// The file.
        path: PathBuf,
        /// The JSON pointer.
        pointer: String,
    },
    /// One JSON value is larger than a record may be.
    #[error(
        "record {record} of {} is larger than {limit} bytes; if the records stand deeper in the document, name their array in `format.records`",
        path.display()
    )]
    RecordTooLarge {
        /// The file.
        path: PathBuf,
        /// 1-based number of the record.
        record: u64,
        /// The largest size of one record in bytes.
        limit: usize,
    },
    /// The copy of the raw bytes could not be written.
    #[error("cannot keep the bytes of {} in the landing: {source}", path.display())]
    Landing {
        /// The file that was being read.
        path: PathBuf,
        /// The writer's reason.
        source: io::Error,
    },
    /// The settings of a Kafka source cannot be used, or its group could not be left.
    #[error("kafka source {feed} could not {doing}: {source}")]
    Broker {
        /// The source table.
        feed: String,
        /// What was tried.
        doing: &'static str,
        /// The client's reason.
        source: Box<krafka::KrafkaError>,
    },
    /// The receiver of the events asked to stop and keeps the reason itself.
    #[error("reading was stopped by its receiver")]
    Stopped,
    /// A broken invariant of this crate.
    #[error("internal error in the file connector: {message}")]
    Internal {
        /// What was expected.
        message: String,
    },
}

impl HasErrorKind for ConnectError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::RootMissing { .. } => ErrorKind::NotFound,
            Self::BadPattern { .. }
            | Self::Corrupt { .. }
            | Self::CutShort { .. }
            | Self::Columns { .. }
            | Self::OtherFormat { .. }
            | Self::RecordsMissing { .. }
            | Self::RecordTooLarge { .. } => ErrorKind::Invalid,
            Self::Unreadable { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                _ => ErrorKind::Unavailable,
            },
            Self::Unfinished { .. } | Self::Landing { .. } => ErrorKind::Unavailable,
            Self::Broker { source, .. } => match **source {
                krafka::KrafkaError::Config { .. } => ErrorKind::Invalid,
                krafka::KrafkaError::Auth { .. } => ErrorKind::Denied,
                _ => ErrorKind::Unavailable,
            },
            Self::Stopped => ErrorKind::Conflict,
            Self::Internal { .. } => ErrorKind::Internal,
        }
    }
}
