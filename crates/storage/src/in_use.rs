//! Which processes have a lake on this machine's disk open: by that it is known that what lies half-written has no writer any more.
//!
//! Whoever opens a lake holds the operating system's lock on a file of it together with all others, for as long as the process lives. Who
//! gets it alone for a moment knows that nobody else wrote then: files that were never named and are older than that moment are nobody's.
//! The lock is held for that moment only, so that nobody waits. What a process that writes leaves in [`MARKS`] until it is done tells the
//! next one that it never got there.

use std::{
    fs::{self, File},
    io,
    path::Path as FsPath,
    time::SystemTime,
};

use crate::{Lake, StorageError};

/// A folder with a file per process that writes.
const MARKS: &str = "_writing";

impl Lake {
    /// A moment, just now, at which no other process had the lake open; none if another has, or nobody can tell.
    pub fn alone_at(&self) -> Option<SystemTime> {
        let file = self.in_use.as_ref()?;
        file.unlock().ok()?;
        let at = file.try_lock().is_ok().then(SystemTime::now);
        file.unlock().ok()?;
        file.lock_shared().ok()?;
        at
    }

    /// Notes that this process begins to write. A disk that takes no file takes no rows either, and says so then.
    pub fn begin_writing(&self) {
        if let Some(folder) = self.local_path().map(|folder| folder.join(MARKS)) {
            let _ = fs::create_dir_all(&folder).and_then(|()| File::create(folder.join(self.writer())));
        }
    }

    /// How many processes began to write and were not done: this one left out. Who asks has to be alone ([`Lake::alone_at`]).
    pub fn broken_off(&self) -> Result<usize, StorageError> {
        Ok(self.marks()?.iter().filter(|name| **name != self.writer()).count())
    }

    /// Notes that this process is done, and, with `all`, that what others left has been cleared away.
    pub fn end_writing(&self, all: bool) -> Result<(), StorageError> {
        let Some(folder) = self.local_path().map(|folder| folder.join(MARKS)) else { return Ok(()) };
        for name in self.marks()?.iter().filter(|name| all || **name == self.writer()) {
            if let Err(error) = fs::remove_file(folder.join(name))
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(failed(&folder)(error));
            }
        }
        Ok(())
    }

    fn marks(&self) -> Result<Vec<String>, StorageError> {
        let Some(folder) = self.local_path().map(|folder| folder.join(MARKS)) else { return Ok(Vec::new()) };
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed(&folder))?,
        };
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect::<io::Result<_>>().map_err(failed(&folder))
    }
}

fn failed(folder: &FsPath) -> impl FnOnce(io::Error) -> StorageError {
    let path = folder.display().to_string();
    move |source| StorageError::Io { action: "clean up", path, source }
}

#[cfg(test)]
mod tests {
    use crate::Lake;

    #[tokio::test]
    async fn c05_who_is_alone_knows_who_was_broken_off() {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().to_string_lossy().into_owned();
        let first = Lake::open(&url).await.unwrap();
        assert!(first.alone_at().is_some());
        let second = Lake::open(&url).await.unwrap();
        assert_eq!((first.alone_at(), second.alone_at()), (None, None));
        second.begin_writing();
        drop(second);
        first.begin_writing();
        assert!(first.alone_at().is_some());
        assert_eq!(first.broken_off().unwrap(), 1);
        first.end_writing(false).unwrap();
        assert_eq!(first.broken_off().unwrap(), 1);
        first.end_writing(true).unwrap();
        assert_eq!(first.broken_off().unwrap(), 0);
    }
}
