//! One server per lake: it alone takes deliveries, runs waves and keeps tables in shape.
//!
//! On this machine the owner holds the operating system's lock on a file, which ends with the process however that ends; in an object store
//! it has a lease ([`crate::lease`]). Journals may lie outside the lake (`--journal`), so that their folder is locked as well: two servers of
//! two lakes are not to share one. The file says who holds it: for people where there is a lock, for other servers where there is none.
//! Who gets the lock on a folder of this machine knows that the holder before is gone, and does not wait for its lease to end.

use std::{
    fmt,
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use wardlake_storage::Lake;

use crate::{
    error::LoadError,
    lease::{FILE, LASTS, Lease, Record, Watch},
};

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

/// This machine's name, where the system tells it.
pub fn machine_name() -> Option<String> {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::env::var("HOSTNAME"));
    told.ok().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}

impl Holder {
    pub(crate) fn this_process() -> Self {
        let host = machine_name().unwrap_or_else(|| "this machine".to_owned());
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

/// What the file in a locked folder says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Note {
    #[serde(flatten)]
    holder: Holder,
    /// The lease that its holder wanted besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease: Option<String>,
}

/// One who wants to own a lake, and what it has seen of whoever does.
#[derive(Debug)]
pub struct Claim {
    lake: Arc<Lake>,
    journal: Option<PathBuf>,
    wanted: Record,
    watch: Watch,
    /// A lease whose holder had the lock that this process has or had since: it has ended.
    ended: Option<String>,
}

impl Claim {
    /// Between two looks at whether a lake is free.
    pub const LOOK_EVERY: Duration = Duration::from_secs(1);

    /// Takes nothing yet. `journal`: the folder of the journals, if it is not within the lake.
    pub fn new(lake: &Arc<Lake>, journal: Option<&Path>) -> Self {
        Self {
            lake: Arc::clone(lake),
            journal: journal.map(Path::to_owned),
            wanted: Record::of_this_process(LASTS),
            watch: Watch::default(),
            ended: None,
        }
    }

    /// Takes the lake, if it is known that nobody has it; [`LoadError::Owned`] if somebody has it or may have it.
    pub async fn take(&mut self) -> Result<Ownership, LoadError> {
        self.wanted.begin();
        let is_local = self.lake.local_path().is_some();
        let note =
            Note { holder: self.wanted.holder().clone(), lease: (!is_local).then(|| self.wanted.id().to_owned()) };
        let folders = self.lake.local_path().into_iter().chain(self.journal.as_deref());
        let locked: Result<Vec<_>, _> = folders.map(|folder| lock(folder.to_owned(), &note)).collect();
        // Whoever has a lock lives: there is nothing to watch.
        let locked = locked.inspect_err(|_| self.watch = Watch::default())?;
        // A folder that several machines share may be locked on each of them.
        let before = locked.iter().filter_map(|(_, before)| before.as_ref());
        let of_this_machine = before.filter(|before| before.holder.host == note.holder.host);
        let mut leases = of_this_machine.filter_map(|before| before.lease.as_ref());
        if let Some(ended) = leases.rfind(|id| *id != self.wanted.id()) {
            self.ended = Some(ended.clone());
        }
        let what = self.lake.url().to_string();
        let lease = match is_local {
            true => None,
            false => Some(Lease::take(&self.lake, &self.wanted, &mut self.watch, self.ended.as_deref()).await?),
        };
        let locked = locked.into_iter().map(|(file, _)| file).collect();
        Ok(Ownership { locked, what, lease })
    }

    /// Whether it is not known yet if the holder that [`Claim::take`] told of lives: a lease ends when it is not renewed, and the next looks
    /// will tell.
    pub fn is_undecided(&self) -> bool {
        self.watch.is_undecided()
    }
}

/// The right to serve a lake, until it is given up or dropped.
#[derive(Debug)]
pub struct Ownership {
    /// The locks last as long as they are open.
    locked: Vec<File>,
    what: String,
    lease: Option<Lease>,
}

impl Ownership {
    /// Who has it, if somebody does. Looking takes nothing from who wants to have it.
    pub fn holder(lake: &Lake) -> Result<Option<Holder>, LoadError> {
        let Some(folder) = lake.local_path() else { return Ok(None) };
        let failed =
            |error: std::io::Error| LoadError::Lock { folder: folder.display().to_string(), reason: error.to_string() };
        let mut file = match File::open(folder.join(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let holder = file.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str(&text).ok());
                Ok(Some(holder.unwrap_or_default()))
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Takes it, if nobody has it, which may take as long as a lease lasts whose holder died. `journal`: the folder of the journals, if it is
    /// not within the lake.
    pub async fn take(lake: &Arc<Lake>, journal: Option<&Path>) -> Result<Self, LoadError> {
        let mut claim = Claim::new(lake, journal);
        loop {
            let taken = claim.take().await;
            match taken {
                Err(LoadError::Owned { .. }) if claim.is_undecided() => sleep(Claim::LOOK_EVERY).await,
                taken => return taken,
            }
        }
    }

    /// Waits until another process may own the lake; the error to stop with. A lock is never lost. To be called once.
    pub async fn lost(&mut self) -> LoadError {
        match &mut self.lease {
            Some(lease) => LoadError::Lost { what: self.what.clone(), reason: lease.lost().await },
            None => std::future::pending().await,
        }
    }

    /// Lets the next one have it at once.
    pub async fn give_up(self) {
        if let Some(lease) = self.lease {
            lease.give_up().await;
        }
    }

    /// Lets the next one have it when this process has ended: until then the journals may still be written, by what nobody waited for. A lease
    /// does not end with the process, and is given up now: from then on nothing is written to the lake.
    pub async fn leave_to_end_of_process(mut self) {
        let lease = self.lease.take();
        std::mem::forget(self.locked);
        if let Some(lease) = lease {
            lease.give_up_for_good().await;
        }
    }
}

/// Locks a folder, and says who did; what was said there before.
fn lock(folder: PathBuf, note: &Note) -> Result<(File, Option<Note>), LoadError> {
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
    let locked = file.try_lock();
    let mut text = String::new();
    // Whoever holds it may be writing its name just now.
    let said = file.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str::<Note>(&text).ok());
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(LoadError::Owned { what, holder: said.map(|note| note.holder).unwrap_or_default() });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // A full disk cannot say who owns it, and is owned all the same.
    drop(write(serde_json::json!(note).to_string().as_bytes()));
    Ok((file, said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a01_a_folder_has_one_owner_and_the_second_is_told_who() {
        let folder = tempfile::tempdir().unwrap();
        let note = Note { holder: Holder::this_process(), lease: Some("first".to_owned()) };
        let (first, before) = lock(folder.path().to_owned(), &note).unwrap();
        assert!(before.is_none());
        let refused = lock(folder.path().to_owned(), &note).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        let (_, before) = lock(folder.path().to_owned(), &note).unwrap();
        assert_eq!(before.unwrap().lease.as_deref(), Some("first"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a01_who_has_the_lock_of_the_holder_before_does_not_wait_for_its_lease() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open("memory://").await.unwrap();
        let mut first = Claim::new(&lake, Some(folder.path())).take().await.unwrap();
        // It goes without a word.
        drop(first.lease.take());
        drop(first);
        let mut elsewhere = Claim::new(&lake, None);
        let refused = elsewhere.take().await;
        assert!(matches!(refused, Err(LoadError::Owned { .. })) && elsewhere.is_undecided(), "{refused:?}");
        Claim::new(&lake, Some(folder.path())).take().await.unwrap();
    }
}
