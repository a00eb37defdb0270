//! One server per lake: it alone takes deliveries, runs waves and keeps tables in shape.
//!
//! The owner holds the operating system's lock on a file, which ends with the process however that ends. Journals may lie outside the
//! lake (`--intake`), so that their folder is locked as well: two servers of two lakes are not to share one. The file says who holds it,
//! for people alone.

use std::{
    fmt,
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use wardlake_storage::Lake;

use crate::error::LoadError;

const FILE: &str = "_owner.json";

/// Who serves a lake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The machine's name.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// Since when (UTC).
    pub since: DateTime<Utc>,
}

impl Holder {
    fn this_process() -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::env::var("HOSTNAME"));
        let host = host.map_or_else(|_| "this machine".to_owned(), |name| name.trim().to_owned());
        Self { host, pid: std::process::id(), since: Utc::now() }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It has the lock, and has not written its name yet.
        if self.pid == 0 {
            return f.write_str("another process");
        }
        let since = self.since.to_rfc3339_opts(SecondsFormat::Secs, true);
        write!(f, "process {} on {} since {since}", self.pid, self.host)
    }
}

/// The right to serve a lake, until it is dropped.
#[derive(Debug)]
pub struct Ownership {
    /// The lock lasts as long as they are open.
    _locked: Vec<File>,
}

impl Ownership {
    /// Takes it, if nobody has it. `intake`: the folder of the journals, if it is not within the lake.
    pub fn take(lake: &Lake, intake: Option<&Path>) -> Result<Self, LoadError> {
        let folders = lake.local_path().into_iter().chain(intake);
        let locked = folders.map(|folder| lock(folder.to_owned())).collect::<Result<_, _>>()?;
        Ok(Self { _locked: locked })
    }
}

fn lock(folder: PathBuf) -> Result<File, LoadError> {
    let what = folder.display().to_string();
    let failed = |error: std::io::Error| LoadError::Lock { folder: what.clone(), reason: error.to_string() };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let path = folder.join(FILE);
    let write = |name: &[u8]| {
        OpenOptions::new().write(true).create(true).truncate(!name.is_empty()).open(&path)?.write_all(name)
    };
    write(&[]).map_err(failed)?;
    // Held open for reading alone: a file open for writing would keep its disk from being mounted read-only.
    let mut file = File::open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Whoever holds it may be writing its name just now.
            let holder = file.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str(&text).ok());
            return Err(LoadError::Owned { what, holder: holder.unwrap_or_default() });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // A full disk cannot say who owns it, and is owned all the same.
    drop(write(serde_json::json!(Holder::this_process()).to_string().as_bytes()));
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a01_a_folder_has_one_owner_and_the_second_is_told_who() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path().to_owned()).unwrap();
        let refused = lock(folder.path().to_owned()).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        lock(folder.path().to_owned()).unwrap();
    }
}
