//! Trouble with the disk of a local lake: which file, and what the system said. It travels inside the errors of the object
//! store, and is found again however many libraries wrapped those.

use std::{
    error::Error,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// What the system refused to do with a file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub(crate) struct DiskError {
    pub(crate) action: &'static str,
    pub(crate) path: PathBuf,
    source: io::Error,
}

impl DiskError {
    pub(crate) fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self { action, path: path.to_owned(), source }
    }

    /// The one inside `error`, if it is about the disk as a whole or its permissions; a file that is absent or in the way is
    /// a matter of its own.
    pub(crate) fn within<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Self> {
        let found: &Self = chain(error).find_map(|error| error.downcast_ref())?;
        let is_about_one_file = matches!(found.source.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists);
        (!is_about_one_file).then_some(found)
    }

    /// The system's error once more.
    pub(crate) fn io(&self) -> io::Error {
        same(&self.source)
    }
}

/// The system's error inside `error`.
pub(crate) fn io_within(error: &(dyn Error + 'static)) -> Option<io::Error> {
    let is_systems = |error: &&io::Error| error.raw_os_error().is_some();
    chain(error).find_map(|error| error.downcast_ref().filter(is_systems)).map(same)
}

/// Bytes of the disk of a folder that this user may still fill; none where the system does not say.
#[cfg(unix)]
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    // Some file systems have no size of their own.
    (disk.f_blocks > 0).then(|| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Bytes of the disk of a folder that this user may still fill; none where the system does not say.
#[cfg(not(unix))]
pub fn free_bytes(_folder: &Path) -> Option<u64> {
    None
}

/// Whether no room was left for a write.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// What to do about the system's error, as the end of a sentence that names the file.
pub(crate) fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        _ if is_full(error) => "; make room there and run it again: what was committed stays",
        ErrorKind::ReadOnlyFilesystem => "; make that disk writable or choose another lake, then run it again",
        ErrorKind::PermissionDenied => "; give this user the right to it or choose another lake",
        _ => "",
    }
}

/// An error and those it was caused by. `io::Error` leaves out what it was made from, so that is asked for.
pub(crate) fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}

fn same(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_disk_says_how_much_is_free() {
        assert!(free_bytes(&std::env::temp_dir()).is_some_and(|bytes| bytes > 0));
        assert_eq!(free_bytes(Path::new("/there/is/no/such/folder")), None);
    }

    #[test]
    fn it_is_found_under_every_wrapping() {
        const NO_SPACE: i32 = 28;
        let disk = DiskError::new("write", Path::new("/lake/x"), io::Error::from_raw_os_error(NO_SPACE));
        let store = object_store::Error::Generic { store: "local", source: Box::new(disk) };
        let wrapped = datafusion::error::DataFusionError::External(Box::new(io::Error::other(store)));
        let found = DiskError::within(&wrapped).unwrap();
        assert_eq!((found.action, found.path.as_path()), ("write", Path::new("/lake/x")));
        assert!(is_full(&found.io()) && !advice(&found.io()).is_empty());
        assert!(DiskError::within(&io::Error::other("x")).is_none());
    }
}
