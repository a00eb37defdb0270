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
    /// A name that nothing bears.
    #[error("there is no {what} named {name}; known are {known}")]
    UnknownName {
        /// What was to be named.
        what: &'static str,
        /// The name given.
        name: String,
        /// Names that exist.
        known: String,
    },
    /// A folder or file could not be written.
    #[error("cannot write {path}: {source}; check that the folder exists, is writable and has space")]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Somebody asked for the end.
    #[error("stopped before the last day; what was delivered until then stays")]
    Stopped,
    /// A file of the truth could not be read.
    #[error("cannot read {path}: {source}; name the folder that `wardlake simulate` wrote, or its `_truth` folder")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file of the truth is not what a simulation writes.
    #[error("{path}, line {line}: {problem}; write the truth anew with `wardlake simulate`")]
    InvalidTruth {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}

impl SimulateError {
    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { path, source }
    }

    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Read { path, source }
    }
}
