//! What a failure means to a caller. Each front door maps the kind once: exit code, HTTP status, SQLSTATE.

/// The decision an error asks of whoever receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request, project or data is wrong; the same call fails again until it is corrected.
    Invalid,
    /// Something that was named does not exist.
    NotFound,
    /// The caller may not do this.
    Denied,
    /// Another writer was first; a rerun on the new state may succeed.
    Conflict,
    /// A disk, network or server did not answer; the same call may succeed later.
    Unavailable,
    /// A broken invariant of Wardlake itself.
    Internal,
}

/// Errors that know their [`ErrorKind`].
pub trait HasErrorKind {
    /// The kind of this error.
    fn kind(&self) -> ErrorKind;
}
