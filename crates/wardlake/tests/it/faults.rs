//! A lake that cannot be written: the command says what, where and what to do; once it can be written again, the rerun ends in
//! the same tables as an undisturbed run.
#![cfg(target_os = "linux")]

use std::{path::Path, process::Command};

use tempfile::TempDir;
use wardlake_testkit::skip::{skipped, skipped_everywhere};

use crate::world::World;

/// A file system of its own size, in memory.
pub(crate) struct Disk(TempDir);

impl Disk {
    /// Mounts it; says why not where that is not allowed.
    pub(crate) fn mount(kilobytes: u64) -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        match disk.try_mount(&format!("size={kilobytes}k")) {
            Ok(()) => Some(disk),
            Err(reason) => {
                // Root in a container need not be allowed to mount, and nothing that is installed changes that.
                skipped_everywhere(format_args!("a test of a full disk mounts one, which needs root: {reason}"));
                None
            }
        }
    }

    fn try_mount(&self, options: &str) -> Result<(), String> {
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(self.0.path()).output();
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    pub(crate) fn change(&self, options: &str) {
        self.try_mount(&format!("remount,{options}")).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn used_kilobytes(&self) -> u64 {
        let output = Command::new("df").args(["-k", "--output=used"]).arg(self.0.path()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().last().unwrap().trim().parse().unwrap()
    }

    fn lake(&self) -> String {
        self.0.path().join("lake").to_string_lossy().into_owned()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// A clock of the machine that goes as it is told, for the commands of one world.
pub(crate) struct Clock(TempDir);

impl Clock {
    /// Where Debian's package `libfaketime` puts it.
    const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

    /// Says why not where the library is not installed.
    pub(crate) fn of_its_own() -> Option<Self> {
        if !Path::new(Self::LIBRARY).exists() {
            skipped("a test of a clock that jumps needs libfaketime");
            return None;
        }
        let clock = Self(tempfile::tempdir().unwrap());
        clock.set("+0");
        Some(clock)
    }

    /// From now on that far off: `+3d`, `-2h`. Waits are measured by another clock, which goes on as ever.
    pub(crate) fn set(&self, offset: &str) {
        let next = self.0.path().join("next");
        std::fs::write(&next, format!("{offset}\n")).unwrap();
        std::fs::rename(next, self.file()).unwrap();
    }

    pub(crate) fn drives(&self, world: World) -> World {
        world
            .env("LD_PRELOAD", Self::LIBRARY)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file().to_string_lossy())
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME_NO_CACHE", "1")
    }

    fn file(&self) -> std::path::PathBuf {
        self.0.path().join("offset")
    }
}

/// The command fails as a user can understand: what the system said, which file, what to do; nothing about faults of our own.
fn fails_on_the_disk(world: &World, arguments: &[&str], disk: &Path, parts: &[&str]) {
    let output = world.run(arguments);
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?} ended with {}\n{printed}", output.status);
    let place = disk.canonicalize().unwrap();
    for part in parts.iter().copied().chain([place.to_str().unwrap()]) {
        assert!(printed.contains(part), "`{part}` is missing in:\n{printed}");
    }
    for part in ["panicked", "report"] {
        assert!(!printed.contains(part), "`{part}` is in:\n{printed}");
    }
}

const FULL: [&str; 2] = ["No space left on device", "make room there and run it again"];
const READ_ONLY: [&str; 2] = ["Read-only file system", "make that disk writable"];
const PLENTY: &str = "size=256m";

#[test]
fn a_full_disk_costs_a_rerun_and_nothing_else() {
    let Some(calm) = World::example("hms") else { return };
    calm.ok(&["ingest"]);
    calm.ok(&["build"]);
    let wanted = calm.contents();
    // It fills up at the first file, in the middle, and when everything but the last records is written.
    for (kilobytes, left) in [(40, 8), (200, 60), (500, 120)] {
        let Some(disk) = Disk::mount(kilobytes) else { return };
        let world = World::example("hms").unwrap().env("WARDLAKE_LAKE", &disk.lake());
        fails_on_the_disk(&world, &["ingest"], disk.0.path(), &FULL);
        disk.change(PLENTY);
        world.ok(&["ingest"]);
        disk.change(&format!("size={}k", disk.used_kilobytes() + left));
        fails_on_the_disk(&world, &["build"], disk.0.path(), &FULL);
        disk.change(PLENTY);
        world.ok(&["build"]);
        assert_eq!(world.contents(), wanted, "{kilobytes} KiB for ingest, {left} KiB for build");
        assert_eq!(world.count("system.load_log"), 13, "every load is logged once");
    }
}

#[test]
fn a_read_only_lake_is_read_and_says_why_it_is_not_written() {
    let Some(calm) = World::example("hms") else { return };
    calm.ok(&["ingest"]);
    calm.ok(&["build"]);
    let wanted = calm.contents();
    let Some(disk) = Disk::mount(256 << 10) else { return };
    let world = World::example("hms").unwrap().env("WARDLAKE_LAKE", &disk.lake());
    disk.change("ro");
    fails_on_the_disk(&world, &["ingest"], disk.0.path(), &READ_ONLY);
    disk.change("rw");
    world.ok(&["ingest", "--select", "source:hms"]);
    disk.change("ro");
    fails_on_the_disk(&world, &["ingest"], disk.0.path(), &READ_ONLY);
    fails_on_the_disk(&world, &["build"], disk.0.path(), &READ_ONLY);
    assert_eq!(world.count("bronze.raw_patients"), 52, "reading needs no writing");
    world.ok(&["epochs", "list"]);
    disk.change("rw");
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    assert_eq!(world.contents(), wanted);
}
