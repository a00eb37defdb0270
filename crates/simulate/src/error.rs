//! Why a simulation could not be written.

use std::path::PathBuf;

/// A simulation that could not start or could not write.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// An option is outside of its range.
    #[error("{option} is {value}, but must be {expected}")]
    InvalidOption {
        /// Name of the option.
        option: &'static str,
        /// Value given.
        value: String,
        /// Range or form that is allowed.
        expected: &'static str,
    },
    /// A folder or file could not be written.
    #[error("cannot write {path}: {source}; check that the folder exists, is writable and has space")]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

impl SimulateError {
    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { path, source }
    }
}
