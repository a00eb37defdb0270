//! Where everything of this process that is needed for a while only has its place: rows that queries spill, copies of landed files. One folder
//! below the system's folder for temporary files, under the operating system's lock for as long as the process lives. What a process that
//! was cut off left is known by that and goes with the next command: it holds rows of patients.

use std::{
    fs::{self, DirBuilder, File},
    io,
    path::{Path, PathBuf},
};

const PREFIX: &str = "wardlake-scratch-";
const LOCK: &str = "lock";

/// The folder; gone when this is dropped.
pub(crate) struct Scratch {
    folder: PathBuf,
    _locked: File,
}

impl Scratch {
    /// Makes the folder the place of all temporary files of this process, and clears away those of processes that are gone. Without a folder
    /// they lie in the system's own, as those of any program.
    pub(crate) fn begin() -> Option<Self> {
        let parent = std::env::temp_dir();
        clear(&parent);
        let scratch = Self::make(&parent).ok()?;
        tempfile::env::override_temp_dir(&scratch.folder).ok()?;
        Some(scratch)
    }

    fn make(parent: &Path) -> io::Result<Self> {
        let name = format!("{PREFIX}{}-{:x}", std::process::id(), chrono::Utc::now().timestamp_micros());
        // It gets its name once it is locked: before that it would look like one that was left.
        let unnamed = parent.join(format!(".{name}"));
        private().create(&unnamed)?;
        let locked = File::create(unnamed.join(LOCK))?;
        locked.lock()?;
        let folder = parent.join(name);
        fs::rename(&unnamed, &folder)?;
        Ok(Self { folder, _locked: locked })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Threads that are still at work may hold it up; the next command finds it.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A folder that nobody else may look into.
fn private() -> DirBuilder {
    #[allow(unused_mut, reason = "only some systems have modes")]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// Removes the folders of processes that are gone. Those of other users stay: their files cannot be removed.
fn clear(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.filter_map(Result::ok) {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let is_left = File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if is_left {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c05_what_a_process_left_is_cleared_by_the_next_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let living = Scratch::make(parent.path()).unwrap();
        let left = parent.path().join(format!("{PREFIX}1-1"));
        for (folder, file) in [(left.clone(), LOCK), (parent.path().join("other"), LOCK)] {
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(file), "").unwrap();
        }
        fs::write(left.join("rows"), "Smith").unwrap();
        clear(parent.path());
        assert!(!left.exists() && living.folder.exists() && parent.path().join("other").exists());
        let folder = living.folder.clone();
        drop(living);
        assert!(!folder.exists());
    }
}
