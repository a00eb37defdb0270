//! What killed writers left behind under names that nobody reads: half-landed bytes, and files that never got their name.

use std::{
    fs, io,
    path::{Path as FsPath, PathBuf},
    time::{Duration, SystemTime},
};

use chrono::Utc;
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt};
use wardlake_core::TableName;

use crate::{Lake, StorageError, VacuumReport, landing};

impl Lake {
    /// Deletes what killed writers left outside of tables and nobody touched for `retention`: choose it longer than the
    /// longest write. Files are named relative to the lake. [`Lake::vacuum`] does the same within a table.
    ///
    /// Uploads in parts that were begun on an object store and never finished belong to the store's own clean-up rules.
    pub async fn sweep(&self, retention: Duration, dry_run: bool) -> Result<VacuumReport, StorageError> {
        let cutoff = Utc::now() - chrono::Duration::from_std(retention).unwrap_or(chrono::Duration::MAX / 2);
        let half_landed = landing::temporary_folder();
        let list: Vec<ObjectMeta> =
            self.store.list(Some(&half_landed)).try_collect().await.map_err(self.failed("list", &half_landed))?;
        let mut report = VacuumReport::default();
        for object in list.into_iter().filter(|object| object.last_modified < cutoff) {
            if !dry_run {
                self.store.delete(&object.location).await.map_err(self.failed("delete", &object.location))?;
            }
            report.bytes += object.size;
            report.files.push(object.location.to_string());
        }
        let Some(root) = self.local_path() else { return Ok(report) };
        let is_own = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with('_');
        let read = |source| StorageError::Io { action: "read", path: root.display().to_string(), source };
        for entry in fs::read_dir(root).map_err(read)?.filter_map(io::Result::ok).filter(is_own) {
            remove_unnamed(root, entry.path(), retention, dry_run, &mut report).await?;
        }
        Ok(report)
    }

    /// Deletes what writers left of a table that has no commit: its first one never came. Only tables of the lake's own project may be
    /// named here, for other folders are nobody's business.
    pub async fn sweep_unborn(
        &self,
        table: &TableName,
        retention: Duration,
        dry_run: bool,
    ) -> Result<VacuumReport, StorageError> {
        let mut report = VacuumReport::default();
        if let Some(root) = self.local_path()
            && !self.exists(table).await?
        {
            let folder = root.join(table.schema()).join(table.name());
            let is_left = |name: &str| is_unnamed(name) || name.ends_with(".parquet");
            remove(root, folder, is_left, retention, dry_run, &mut report).await?;
        }
        Ok(report)
    }
}

/// Deletes files below `folder` that wait for their name (`name#<digits>`) for longer than `retention`. Reports them relative to
/// `root`.
pub(crate) async fn remove_unnamed(
    root: &FsPath,
    folder: PathBuf,
    retention: Duration,
    dry_run: bool,
    report: &mut VacuumReport,
) -> Result<(), StorageError> {
    remove(root, folder, is_unnamed, retention, dry_run, report).await
}

async fn remove(
    root: &FsPath,
    folder: PathBuf,
    is_left: fn(&str) -> bool,
    retention: Duration,
    dry_run: bool,
    report: &mut VacuumReport,
) -> Result<(), StorageError> {
    let path = folder.display().to_string();
    let failed = |source| StorageError::Io { action: "clean up", path, source };
    let walk = tokio::task::spawn_blocking(move || {
        let mut found = Vec::new();
        walk(&folder, is_left, SystemTime::now().checked_sub(retention), &mut found)?;
        if !dry_run {
            found.iter().try_for_each(|(file, _)| fs::remove_file(file))?;
        }
        Ok(found)
    });
    let mut found = walk.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)?;
    found.sort_unstable();
    for (file, bytes) in found {
        report.bytes += bytes;
        report.files.push(file.strip_prefix(root).unwrap_or(&file).to_string_lossy().replace('\\', "/"));
    }
    Ok(())
}

fn walk(
    folder: &FsPath,
    is_left: fn(&str) -> bool,
    before: Option<SystemTime>,
    found: &mut Vec<(PathBuf, u64)>,
) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), is_left, before, found)?;
        } else if kind.is_file() && is_left(&entry.file_name().to_string_lossy()) {
            // It may have got its name in the meantime.
            let Ok(metadata) = entry.metadata() else { continue };
            if before.is_some_and(|before| metadata.modified().is_ok_and(|modified| modified < before)) {
                found.push((entry.path(), metadata.len()));
            }
        }
    }
    Ok(())
}

fn is_unnamed(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, end)| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit()))
}
