//! What killed writers left behind under names that nobody reads: half-landed bytes, and files that never got their name.

use std::{
    fs, io,
    path::{Path as FsPath, PathBuf},
    time::SystemTime,
};

use chrono::Utc;
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt};
use wardlake_core::TableName;

use crate::{Lake, StorageError, VacuumGrace, VacuumReport, landing};

impl Lake {
    /// Deletes what killed writers left outside of tables and nobody touched for longer than the longest write takes. Files are named
    /// relative to the lake. [`Lake::vacuum`] does the same within a table.
    ///
    /// Uploads in parts that were begun on an object store and never finished belong to the store's own clean-up rules.
    pub async fn sweep(&self, grace: VacuumGrace, dry_run: bool) -> Result<VacuumReport, StorageError> {
        let cutoff = Utc::now() - chrono::Duration::from_std(grace.unnamed).unwrap_or(chrono::Duration::MAX / 2);
        let half_landed = landing::temporary_folder();
        let mut list: Vec<ObjectMeta> =
            self.store.list(Some(&half_landed)).try_collect().await.map_err(self.failed("list", &half_landed))?;
        let seen_grace = |location: &str| match self.local_path() {
            Some(root) => self.seen_grace(grace, &root.join(location)),
            None => grace.unnamed,
        };
        let names = list.iter().map(|object| (object.location.to_string(), seen_grace(object.location.as_ref())));
        let names = names.collect();
        let seen = self.seen_before("landing", names, !dry_run).await?;
        list.retain(|object| object.last_modified < cutoff && seen.contains(&object.location.to_string()));
        let mut report = VacuumReport::default();
        for object in list {
            if !dry_run {
                self.store.delete(&object.location).await.map_err(self.failed("delete", &object.location))?;
            }
            report.bytes += object.size;
            report.files.push(object.location.to_string());
        }
        let Some(root) = self.local_path() else { return Ok(report) };
        let is_own = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with('_');
        let read = |source| StorageError::Io { action: "read", path: root.display().to_string(), source };
        let entries = fs::read_dir(root).map_err(read)?.collect::<io::Result<Vec<_>>>().map_err(read)?;
        let own = entries.into_iter().filter(is_own);
        let left = Left { subject: "leftovers", folders: own.map(|entry| entry.path()).collect(), is_left: is_unnamed };
        self.remove_left(root, left, grace, dry_run, &mut report).await?;
        Ok(report)
    }

    /// Deletes what writers left of a table that has no commit: its first one never came. Only tables of the lake's own project may be
    /// named here, for other folders are nobody's business.
    pub async fn sweep_unborn(
        &self,
        table: &TableName,
        grace: VacuumGrace,
        dry_run: bool,
    ) -> Result<VacuumReport, StorageError> {
        let mut report = VacuumReport::default();
        if let Some(root) = self.local_path()
            && !self.exists(table).await?
        {
            let folder = root.join(table.schema()).join(table.name());
            let subject = format!("{table}.unborn");
            let is_left = |name: &str| is_unnamed(name) || name.ends_with(".parquet");
            self.remove_left(
                root,
                Left { subject: &subject, folders: vec![folder], is_left },
                grace,
                dry_run,
                &mut report,
            )
            .await?;
        }
        Ok(report)
    }

    /// Deletes what was left for longer than the grace, and was seen by an earlier pass that long ago. Reports it relative to `root`.
    pub(crate) async fn remove_left(
        &self,
        root: &FsPath,
        left: Left<'_>,
        grace: VacuumGrace,
        dry_run: bool,
        report: &mut VacuumReport,
    ) -> Result<(), StorageError> {
        let failed = |source| StorageError::Io { action: "clean up", path: root.display().to_string(), source };
        let relative = |file: &FsPath| file.strip_prefix(root).unwrap_or(file).to_string_lossy().replace('\\', "/");
        let Left { subject, folders, is_left } = left;
        let walk = tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            folders.iter().try_for_each(|folder| walk(folder, is_left, &mut found))?;
            found.sort_unstable_by(|one, other| one.path.cmp(&other.path));
            Ok(found)
        });
        let found: Vec<Found> = walk.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)?;
        let names = found.iter().map(|file| (relative(&file.path), self.seen_grace(grace, &file.path))).collect();
        let seen = self.seen_before(subject, names, !dry_run).await?;
        let before = SystemTime::now().checked_sub(grace.unnamed);
        for file in found {
            let name = relative(&file.path);
            if before.is_none_or(|before| file.modified >= before) || !seen.contains(&name) {
                continue;
            }
            if !dry_run {
                match tokio::fs::remove_file(&file.path).await {
                    // Another pass was first, or it has got its name.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    removed => removed.map_err(failed)?,
                }
            }
            report.bytes += file.bytes;
            report.files.push(name);
        }
        Ok(())
    }
}

/// Where writers leave files, and which of those there they are.
pub(crate) struct Left<'l> {
    /// What passes remember them by.
    pub(crate) subject: &'l str,
    pub(crate) folders: Vec<PathBuf>,
    pub(crate) is_left: fn(&str) -> bool,
}

/// A file that was left.
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    bytes: u64,
    modified: SystemTime,
}

/// The files of a folder and those in it, by what their names say.
pub(crate) fn walk(folder: &FsPath, is_left: fn(&str) -> bool, found: &mut Vec<Found>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), is_left, found)?;
        } else if kind.is_file() && is_left(&entry.file_name().to_string_lossy()) {
            // It may have got its name in the meantime.
            let Ok(metadata) = entry.metadata() else { continue };
            found.push(Found { path: entry.path(), bytes: metadata.len(), modified: metadata.modified()? });
        }
    }
    Ok(())
}

/// Whether a file waits for its name: `name#<digits>`.
pub(crate) fn is_unnamed(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, end)| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit()))
}
