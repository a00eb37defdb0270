//! Whether deliveries are to be sent here, as opposed to another server or a later time. What is in the way is told of with its reason, and
//! not any more once it is mended, which nobody has to tell the server: it looks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;
use wardlake_load::{IntakeError, LoadError};
use wardlake_storage::free_bytes;

use crate::Server;

/// How often a disk that refused is tried. Who asks whether we are ready sends nothing meanwhile that would find out.
const TRY_EVERY: Duration = Duration::from_secs(1);
/// The file by which it is tried, beside the segments of the journal. No segment has such a name.
const TRIED: &str = ".room";
/// More than a file system sets aside for a small file.
const TRIED_BYTES: u64 = 256 << 10;

/// What is in the way of deliveries.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    hindrances: Mutex<Hindrances>,
    /// Whether a disk has less room than `min_free` asks for.
    is_short: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Hindrances {
    is_stopping: bool,
    /// Why deliveries could not be stored, by `<source>.<table>`, until the disk takes something again.
    refusals: BTreeMap<String, String>,
    /// Why what was accepted could not be loaded, by `<source>.<table>`, until it is.
    failed_loads: BTreeMap<String, String>,
    /// Which disks have too little room.
    shortage: Option<String>,
}

impl Readiness {
    fn lock(&self) -> MutexGuard<'_, Hindrances> {
        self.hindrances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server stops. That stands.
    pub(crate) fn note_stop(&self) {
        self.lock().is_stopping = true;
    }

    /// A delivery was not taken. Only what the disk refused is in the way of all others as well.
    pub(crate) fn note_refusal(&self, label: &str, error: &IntakeError) {
        match error {
            IntakeError::NotStored { .. } => {
                self.lock().refusals.insert(label.to_owned(), error.to_string());
            }
            // Of room it is known without.
            IntakeError::NoRoom { .. } | IntakeError::Busy { .. } | IntakeError::KeyReused | IntakeError::Stopping => {}
        }
    }

    /// How the last load of a table ended.
    pub(crate) fn note_load(&self, label: &str, failure: Option<&LoadError>) {
        let mut hindrances = self.lock();
        match failure {
            Some(error) => hindrances.failed_loads.insert(label.to_owned(), error.to_string()),
            None => hindrances.failed_loads.remove(label),
        };
    }

    /// Why deliveries to a table could not be stored, if that is not mended.
    pub(crate) fn refusal(&self, label: &str) -> Option<String> {
        self.lock().refusals.get(label).cloned()
    }

    fn note_room(&self, label: &str) {
        self.lock().refusals.remove(label);
    }

    /// Which disks have too little room; whether that is news.
    fn note_shortage(&self, shortage: Option<String>) -> bool {
        let is_short = shortage.is_some();
        self.lock().shortage = shortage;
        self.is_short.send_if_modified(|was_short| std::mem::replace(was_short, is_short) != is_short)
    }

    /// Waits until there is room.
    pub(crate) async fn room(&self) {
        // It ends with us.
        let _ = self.is_short.subscribe().wait_for(|is_short| !is_short).await;
    }

    /// Waits until room is short.
    pub(crate) async fn shortage(&self) {
        let _ = self.is_short.subscribe().wait_for(|is_short| *is_short).await;
    }

    /// Why nothing is to be sent here; none if there is no reason.
    pub(crate) fn reason(&self) -> Option<String> {
        let hindrances = self.lock();
        if hindrances.is_stopping {
            return Some("the server is stopping; send to its successor".to_owned());
        }
        let mut reasons: Vec<String> =
            hindrances.shortage.iter().chain(hindrances.refusals.values()).cloned().collect();
        for (label, error) in &hindrances.failed_loads {
            reasons.push(format!("{label}: what was accepted cannot be loaded: {error}"));
        }
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}

/// Looks how much room there is on the disks of the lake and of the journals. With too little of it nothing is taken any more.
pub(crate) async fn measure(server: &Server) {
    let min_free = server.workspace.project.target().keeping.min_free_bytes;
    let lake = server.workspace.lake.local_path();
    let is_in_lake = |folder: &Path| lake.is_some_and(|lake| folder.starts_with(lake));
    let journals =
        server.sources.feeds().filter_map(|feed| feed.folder().parent()).filter(|folder| !is_in_lake(folder));
    let folders: BTreeSet<PathBuf> = journals.chain(lake).map(Path::to_path_buf).collect();
    let looked = tokio::task::spawn_blocking(move || -> Vec<String> {
        folders.iter().filter_map(|folder| shortage(folder, free_bytes(folder)?, min_free)).collect()
    });
    let Ok(short) = looked.await else { return };
    let shortage = (!short.is_empty()).then(|| short.join("; "));
    server.sources.feeds().for_each(|feed| feed.note_room(shortage.clone()));
    if server.readiness.note_shortage(shortage.clone()) {
        server.workspace.events.warn(match shortage {
            Some(shortage) => format!("no deliveries are taken: {shortage}"),
            None => "there is room again: deliveries are taken".to_owned(),
        });
    }
}

fn shortage(folder: &Path, free: u64, min_free: u64) -> Option<String> {
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / f64::from(1 << 20));
    (free < min_free).then(|| {
        format!(
            "{} are free in {}, and `min_free` of wardlake.yml asks for {}; make room there: that is found out by itself",
            megabytes(free),
            folder.display(),
            megabytes(min_free)
        )
    })
}

/// Finds out when disks that refused deliveries, or have too little room, take them again, until the server stops.
pub(crate) async fn look_for_room(server: Arc<Server>, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        measure(&server).await;
        for feed in server.sources.feeds() {
            if server.readiness.refusal(feed.label()).is_none() {
                continue;
            }
            let folder = feed.folder().to_owned();
            let tried = tokio::task::spawn_blocking(move || try_disk(&folder)).await;
            if matches!(tried, Ok(Ok(()))) {
                server.readiness.note_room(feed.label());
            }
        }
        tokio::select! {
            () = tokio::time::sleep(TRY_EVERY) => {}
            _ = stopped.changed() => {}
        }
    }
}

/// Writes a file where the journal lies, syncs it, and takes it away again.
fn try_disk(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let path = folder.join(TRIED);
    let written = fs::File::create(&path).and_then(|mut file| {
        io::copy(&mut io::repeat(b'.').take(TRIED_BYTES), &mut file)?;
        file.sync_all()
    });
    let removed = fs::remove_file(&path);
    written.and(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a08_what_is_in_the_way_is_told_until_it_is_mended() {
        let readiness = Readiness::default();
        let of_disk = |reason: &str| IntakeError::NotStored { table: "hl7.adt".to_owned(), reason: reason.to_owned() };
        assert_eq!(readiness.reason(), None);
        // What lies with one delivery, or passes by itself in a moment, is no reason.
        readiness.note_refusal("hl7.adt", &IntakeError::Busy { table: "hl7.adt".to_owned(), waiting_bytes: 9 });
        readiness.note_refusal("hl7.adt", &IntakeError::KeyReused);
        assert_eq!(readiness.reason(), None);
        readiness.note_refusal("hl7.adt", &of_disk("no space left"));
        readiness.note_load("hl7.oru", Some(&LoadError::Task { message: "no table".to_owned() }));
        let told = readiness.reason().unwrap();
        assert!(told.contains("hl7.adt") && told.contains("no space left"), "{told}");
        assert!(told.contains("hl7.oru") && told.contains("no table"), "{told}");
        // That what was accepted before could be loaded does not mean that more can be stored.
        readiness.note_load("hl7.adt", None);
        readiness.note_load("hl7.oru", None);
        assert!(readiness.refusal("hl7.adt").is_some() && readiness.refusal("hl7.oru").is_none());
        let folder = std::env::temp_dir().join(format!("wardlake-room-{}", std::process::id()));
        try_disk(&folder.join("hl7.adt")).unwrap();
        assert_eq!(fs::read_dir(folder.join("hl7.adt")).unwrap().count(), 0, "nothing is left behind");
        fs::remove_dir_all(&folder).unwrap();
        readiness.note_room("hl7.adt");
        assert_eq!(readiness.reason(), None);
        let short = shortage(Path::new("/lake"), 3 << 20, 2 << 30).unwrap();
        assert!(short.starts_with("3.0 MB are free in /lake") && short.contains("2048.0 MB"), "{short}");
        assert_eq!(shortage(Path::new("/lake"), 2 << 30, 2 << 30), None);
        assert!(readiness.note_shortage(Some(short.clone())) && !readiness.note_shortage(Some(short.clone())));
        assert_eq!(readiness.reason(), Some(short));
        assert!(readiness.note_shortage(None));
        assert_eq!(readiness.reason(), None);
        readiness.note_stop();
        assert!(readiness.reason().unwrap().contains("stopping"));
    }
}
