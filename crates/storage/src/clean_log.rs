//! `_delta_log` without the entries that nobody needs any more. A server commits several times a second: a log that is never cleaned has
//! millions of files after a week.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt, path::Path};
use wardlake_core::TableName;

use crate::{Lake, StorageError, VacuumReport};

/// Who still reads a table's log.
#[derive(Clone, Debug, Default)]
pub struct LogReaders {
    /// Versions that are read as they were: those that epochs name.
    pub versions: BTreeSet<u64>,
    /// The version up to which the slowest reader of changes has read; none if nobody reads changes.
    pub changes_since: Option<u64>,
}

/// A file of the log that holds versions.
struct LogFile {
    version: u64,
    kind: Kind,
    meta: ObjectMeta,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Commit,
    Checkpoint,
    /// Of a checkpoint, beside which it stays.
    Checksum,
}

impl Lake {
    /// Deletes the log entries of a table that neither a reader of its newest version nor one of `readers` needs, unless they are younger
    /// than `grace`, by their time or as an earlier pass saw them. What is left of older versions is what each of `readers.versions` needs: the checkpoint before it, and the commits
    /// from there to it. Without a checkpoint nothing is deleted.
    pub async fn clean_log(
        &self,
        table: &TableName,
        readers: &LogReaders,
        grace: Duration,
        dry_run: bool,
    ) -> Result<VacuumReport, StorageError> {
        let handle = self.handle(table)?;
        let store = handle.store();
        let folder = Path::from("_delta_log");
        let list = store.list(Some(&folder)).try_collect::<Vec<_>>().await;
        let files: Vec<LogFile> =
            list.map_err(StorageError::store("list", table))?.into_iter().filter_map(LogFile::of).collect();
        let cutoff = Utc::now() - chrono::Duration::from_std(grace).unwrap_or(chrono::Duration::MAX / 2);
        let aged = self.aged_version(table, files.iter().map(|file| file.version).max(), grace, dry_run).await?;
        let mut report = VacuumReport::default();
        for file in unneeded(&files, readers, cutoff, aged) {
            if !dry_run {
                store.delete(&file.location).await.map_err(StorageError::store("delete", &file.location))?;
            }
            report.bytes += file.size;
            report.files.push(file.location.to_string());
        }
        Ok(report)
    }

    /// The version that the log had a grace ago, as passes noted it; none if there was no pass that long ago. `newest` is that of now.
    async fn aged_version(
        &self,
        table: &TableName,
        newest: Option<u64>,
        grace: Duration,
        dry_run: bool,
    ) -> Result<Option<u64>, StorageError> {
        let Some(newest) = newest else { return Ok(None) };
        let subject = format!("{table}.log");
        let noted = self.names_seen(&subject).await?;
        let mut versions: BTreeSet<u64> = noted.iter().filter_map(|version| version.parse().ok()).collect();
        // A table that was made anew counts from 0.
        versions.retain(|version| *version < newest);
        versions.insert(newest);
        let names = |versions: &BTreeSet<u64>| -> BTreeMap<String, Duration> {
            versions.iter().map(|version| (version.to_string(), grace)).collect()
        };
        let seen = self.seen_before(&subject, names(&versions), false).await?;
        let aged = seen.iter().filter_map(|version| version.parse::<u64>().ok()).max();
        versions.retain(|version| Some(*version) >= aged);
        self.seen_before(&subject, names(&versions), !dry_run).await?;
        Ok(aged)
    }
}

impl LogFile {
    fn of(meta: ObjectMeta) -> Option<Self> {
        let name = meta.location.filename()?;
        let (digits, rest) = name.split_at_checked(20)?;
        let version = digits.parse().ok()?;
        let kind = match rest {
            ".json" | ".crc" => Kind::Commit,
            ".checkpoint.parquet" => Kind::Checkpoint,
            ".checkpoint.sum" => Kind::Checksum,
            // Other engines' checkpoints of several files: theirs to clean up.
            _ => return None,
        };
        Some(Self { version, kind, meta })
    }
}

/// Oldest first: what a crash leaves is a shorter log, not one with a hole where a reader needs it. `aged`: the last version that is
/// certainly old.
fn unneeded<'f>(
    files: &'f [LogFile],
    readers: &LogReaders,
    cutoff: DateTime<Utc>,
    aged: Option<u64>,
) -> Vec<&'f ObjectMeta> {
    let checkpoints = files.iter().filter(|file| file.kind == Kind::Checkpoint);
    let checkpoints: BTreeSet<u64> = checkpoints.map(|file| file.version).collect();
    let Some(newest) = checkpoints.last().copied() else { return Vec::new() };
    let before = |version: u64| checkpoints.range(..=version).next_back().copied();
    // Per version that is read as it was: the checkpoint it is read from, and itself.
    let spans: Vec<(Option<u64>, u64)> = readers
        .versions
        .iter()
        .filter(|version| **version < newest)
        .map(|version| (before(*version), *version))
        .collect();
    let is_needed = |file: &LogFile| {
        let (version, is_commit) = (file.version, file.kind == Kind::Commit);
        let is_in_span = |(from, to): &(Option<u64>, u64)| match from {
            Some(from) if !is_commit => version == *from,
            Some(from) => *from < version && version <= *to,
            None => version <= *to,
        };
        version >= newest
            || (is_commit && readers.changes_since.is_some_and(|since| version > since))
            || spans.iter().any(is_in_span)
    };
    let is_old = |file: &LogFile| file.meta.last_modified < cutoff && Some(file.version) <= aged;
    let mut found: Vec<&LogFile> = files.iter().filter(|file| is_old(file) && !is_needed(file)).collect();
    found.sort_by_key(|file| file.version);
    found.into_iter().map(|file| &file.meta).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> LogFile {
        let meta = ObjectMeta {
            location: Path::from(format!("_delta_log/{name}")),
            last_modified: DateTime::UNIX_EPOCH,
            size: 1,
            e_tag: None,
            version: None,
        };
        LogFile::of(meta).unwrap()
    }

    /// Versions of the commits that stay, and of the checkpoints.
    fn kept(versions: &[u64], changes_since: Option<u64>) -> (Vec<u64>, Vec<u64>) {
        let mut files: Vec<LogFile> = (0..=25).map(|version| file(&format!("{version:020}.json"))).collect();
        files.extend([5, 10, 20].map(|version| file(&format!("{version:020}.checkpoint.parquet"))));
        // That of a checkpoint that is gone is no checkpoint.
        files.extend([5, 7, 10, 20].map(|version| file(&format!("{version:020}.checkpoint.sum"))));
        let readers = LogReaders { versions: versions.iter().copied().collect(), changes_since };
        let gone: BTreeSet<&str> =
            unneeded(&files, &readers, Utc::now(), Some(25)).iter().map(|meta| meta.location.as_ref()).collect();
        let left = |kind: Kind| -> Vec<u64> {
            let left = files.iter().filter(|file| file.kind == kind);
            left.filter(|file| !gone.contains(file.meta.location.as_ref())).map(|file| file.version).collect()
        };
        assert!(left(Kind::Checksum) == left(Kind::Checkpoint), "each stays with its checkpoint");
        (left(Kind::Commit), left(Kind::Checkpoint))
    }

    #[test]
    fn c01_a_log_keeps_what_its_readers_need() {
        assert_eq!(kept(&[], None), ((20..=25).collect(), vec![20]));
        assert_eq!(kept(&[24], Some(22)), ((20..=25).collect(), vec![20]));
        assert_eq!(kept(&[], Some(17)), ((18..=25).collect(), vec![20]));
        let (commits, checkpoints) = kept(&[12, 3], None);
        assert_eq!(commits, [0, 1, 2, 3, 11, 12, 20, 21, 22, 23, 24, 25]);
        assert_eq!(checkpoints, [10, 20]);
        assert_eq!(kept(&[10], None).0, (20..=25).collect::<Vec<_>>());
    }

    #[test]
    fn what_no_earlier_pass_saw_is_not_old() {
        let files: Vec<LogFile> = (0..=9).map(|version| file(&format!("{version:020}.json"))).collect();
        let files: Vec<LogFile> = files.into_iter().chain([file(&format!("{:020}.checkpoint.parquet", 8))]).collect();
        let gone = |aged| unneeded(&files, &LogReaders::default(), Utc::now(), aged).len();
        assert_eq!([None, Some(0), Some(4), Some(9)].map(gone), [0, 1, 5, 8]);
    }
}
