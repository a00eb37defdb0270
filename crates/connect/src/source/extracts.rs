//! Extracts that lie somewhere, whole, until a load takes them.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use super::table::{FileTable, OrderBy};
use crate::{ConnectError, Event, FileReport, FoundFile};

/// Where the rows and rejected records of an extract go.
pub type Sink<'s> = &'s mut dyn FnMut(Event) -> Result<(), ConnectError>;

/// A source of extracts. `base` is the folder that its settings start from. Its calls may take as long as a disk or a network does: they
/// are made where a thread may wait.
pub trait Extracts: Send + Sync {
    /// The folder to watch for new extracts; none where no folder tells of them.
    fn folder(&self, base: &Path) -> Option<PathBuf>;

    /// Whether what lies at `path` would be one of its extracts, or what completes one.
    fn holds(&self, base: &Path, path: &Path) -> bool;

    /// What is there to be read now, each once, in any order.
    fn discover(&self, base: &Path) -> Result<Vec<FoundFile>, ConnectError>;

    /// Reads one of them. See [`read`].
    fn read(
        &self,
        file: &FoundFile,
        table: &FileTable,
        known_columns: Option<&[String]>,
        tee: Option<&mut (dyn Write + Send)>,
        threads: usize,
        sink: Sink<'_>,
    ) -> Result<FileReport, ConnectError>;
}

/// The extracts of `table`, in the order in which they are to be loaded.
pub fn discover(table: &FileTable, base: &Path) -> Result<Vec<FoundFile>, ConnectError> {
    let mut found = match table.extracts() {
        Some(extracts) => extracts.discover(base)?,
        None => Vec::new(),
    };
    match table.order_by {
        OrderBy::Date => found.sort_by(|a, b| (a.date, &a.relative).cmp(&(b.date, &b.relative))),
        OrderBy::Name => found.sort_by(|a, b| a.relative.cmp(&b.relative)),
        OrderBy::Modified => found.sort_by(|a, b| (a.modified, &a.relative).cmp(&(b.modified, &b.relative))),
    }
    Ok(found)
}

/// Whether what lies at `path` would be one of the table's extracts, or what completes one.
pub fn belongs(table: &FileTable, base: &Path, path: &Path) -> bool {
    table.extracts().is_some_and(|extracts| extracts.holds(base, path))
}

/// Reads an extract and hands its rows and rejected records to `sink`, in its own order, on the caller's thread.
///
/// `known_columns` are the table's own columns so far (without lineage columns); they decide the spelling of names that
/// differ only in case, and how many columns may be new: [`MOST_NEW_COLUMNS`](wardlake_core::columns::MOST_NEW_COLUMNS). Without
/// them the extract makes the table. `tee` receives the raw bytes, each once. Text is parsed
/// on `threads` threads; the result does not depend on their number.
///
/// After an error nothing that was delivered may be kept: an extract that turns out to be half-written
/// ([`ConnectError::Unfinished`]) is often known as such only at its end.
pub fn read(
    file: &FoundFile,
    table: &FileTable,
    known_columns: Option<&[String]>,
    tee: Option<&mut (dyn Write + Send)>,
    threads: usize,
    sink: Sink<'_>,
) -> Result<FileReport, ConnectError> {
    match table.extracts() {
        Some(extracts) => extracts.read(file, table, known_columns, tee, threads, sink),
        None => Err(ConnectError::Internal {
            message: format!("{} is to be read for a table that has no extracts", file.relative),
        }),
    }
}
