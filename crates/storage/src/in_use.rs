//! Which processes have a lake on this machine's disk open: by that it is known that what lies half-written has no writer any more.
//!
//! Whoever opens a lake holds the operating system's lock on a file of it together with all others, for as long as the process lives. Who
//! gets it alone for a moment knows that nobody else wrote then: files that were there and were never named are nobody's. Which were there
//! is listed in that moment, for by its time a file that another process writes right behind it can look older: the clock may have been set
//! back. The lock is held for no longer, so that nobody waits. What a process that writes leaves in [`MARKS`] until it is done tells the
//! next one that it never got there.

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    path::{Path as FsPath, PathBuf},
    sync::PoisonError,
    time::{Duration, SystemTime},
};

use crate::{Lake, StorageError, VacuumGrace, leftovers::walk};

/// A folder with a file per process that writes.
const MARKS: &str = "_writing";
/// No write takes longer.
const LONGEST_WRITE: Duration = Duration::from_secs(24 * 60 * 60);

impl Lake {
    /// Whether no other process has the lake open, just now; not if nobody can tell.
    pub fn is_alone(&self) -> bool {
        self.alone(|_| Some(())).is_some()
    }

    /// A moment, just now, at which no other process had the lake open; none if another has, or nobody can tell. The files that were there
    /// then are known from now on: a pass that is alone waits for no earlier one to have seen those.
    pub fn alone_at(&self) -> Option<SystemTime> {
        self.alone(|folder| {
            let at = SystemTime::now();
            let mut found = Vec::new();
            walk(folder, |_| true, &mut found).ok()?;
            let found: HashSet<PathBuf> = found.into_iter().map(|file| file.path).collect();
            *self.there_alone.lock().unwrap_or_else(PoisonError::into_inner) = found;
            Some(at)
        })
    }

    /// What is done with the lake's folder while nobody else can open it.
    fn alone<T>(&self, then: impl FnOnce(&FsPath) -> Option<T>) -> Option<T> {
        let (file, folder) = (self.in_use.as_ref()?, self.local_path()?);
        file.unlock().ok()?;
        let done = file.try_lock().ok().and_then(|()| then(folder));
        file.unlock().ok()?;
        file.lock_shared().ok()?;
        done
    }

    /// How long ago an earlier pass has to have seen a file that no version names: not at all, if it was there when nobody else could
    /// write. What came since, or was not found then, has the time of any write.
    pub(crate) fn seen_grace(&self, grace: VacuumGrace, file: &FsPath) -> Duration {
        if !grace.is_alone {
            return grace.unnamed;
        }
        let there = self.there_alone.lock().unwrap_or_else(PoisonError::into_inner);
        if there.contains(file) { Duration::ZERO } else { LONGEST_WRITE }
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
    use std::{
        fs::{self, File},
        time::{Duration, SystemTime},
    };

    use crate::{Lake, VacuumGrace};

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

    #[tokio::test]
    async fn c05_what_another_writes_behind_the_moment_stays_however_old_it_looks() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
        let table = "main.beds".parse().unwrap();
        // By a clock that was set back all of them look a day old.
        let write = |name: &str| {
            let path = lake.local_path().unwrap().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "half").unwrap();
            let day = Duration::from_secs(86_400);
            File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - day).unwrap();
        };
        ["_state/a#1", "main/beds/a.parquet"].into_iter().for_each(write);
        assert!(lake.alone_at().is_some());
        ["_state/b#1", "main/beds/b.parquet"].into_iter().for_each(write);
        let grace = VacuumGrace { is_alone: true, ..VacuumGrace::both(Duration::ZERO) };
        let swept = lake.sweep(grace, false).await.unwrap();
        assert_eq!(swept.files, ["_state/a#1"]);
        let swept = lake.sweep_unborn(&table, grace, false).await.unwrap();
        assert_eq!(swept.files, ["main/beds/a.parquet"]);
    }
}
