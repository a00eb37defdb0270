//! Finds files. Those that are visibly still being written are left for the next run.

use std::{
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use chrono::{DateTime, NaiveDate, Utc};
use walkdir::{DirEntry, WalkDir};

use super::{pattern::PathPattern, settings::FilesSettings};
use crate::ConnectError;

/// Endings of names that transfer programs give to files they have not finished.
const UNFINISHED_ENDINGS: [&str; 4] = [".tmp", ".part", ".crdownload", ".filepart"];

/// A file to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFile {
    /// Where to open it.
    pub path: PathBuf,
    /// Its path relative to the source's root, with `/` between the parts.
    pub relative: String,
    /// Its size in bytes when it was found.
    pub size: u64,
    /// When it last changed.
    pub modified: DateTime<Utc>,
    /// The date in its path.
    pub date: Option<NaiveDate>,
}

impl FoundFile {
    /// A file named by the user instead of found.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self, ConnectError> {
        let path = path.into();
        let metadata = path.metadata().map_err(|source| ConnectError::Unreadable { path: path.clone(), source })?;
        let relative = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let modified = instant_of(metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        Ok(Self { relative, size: metadata.len(), modified, date: None, path })
    }
}

/// The time of a file as an instant. File systems keep any time; what lies beyond the calendar is its first or last instant.
pub fn instant_of(time: SystemTime) -> DateTime<Utc> {
    let whole = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => {
            DateTime::from_timestamp(whole(since.as_secs()), since.subsec_nanos()).unwrap_or(DateTime::<Utc>::MAX_UTC)
        }
        Err(error) => {
            let before = error.duration();
            let seconds = -whole(before.as_secs()) - i64::from(before.subsec_nanos() > 0);
            let nanos = (1_000_000_000 - before.subsec_nanos()) % 1_000_000_000;
            DateTime::from_timestamp(seconds, nanos).unwrap_or(DateTime::<Utc>::MIN_UTC)
        }
    }
}

/// The files that are there to be loaded. A path that two patterns match is found once, by the first.
pub(super) fn discover(settings: &FilesSettings, base: &Path) -> Result<Vec<FoundFile>, ConnectError> {
    let root = settings.folder(base);
    let mut found: Vec<FoundFile> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for pattern in &settings.patterns {
        for file in walk(settings, pattern, &root)? {
            if seen.insert(file.path.clone()) {
                found.push(file);
            }
        }
    }
    Ok(found)
}

/// Whether a file at `path` would be one of them, or the marker that completes one.
pub(super) fn belongs(settings: &FilesSettings, base: &Path, path: &Path) -> bool {
    let root = settings.folder(base);
    let text = slashed(path);
    let text = settings.done_suffix.as_deref().and_then(|suffix| text.strip_suffix(suffix)).unwrap_or(&text);
    let relative = Path::new(text).strip_prefix(&root).map(slashed).unwrap_or_else(|_| text.to_owned());
    settings.patterns.iter().any(|pattern| pattern.matches(&relative).is_some())
}

fn walk(settings: &FilesSettings, pattern: &PathPattern, root: &Path) -> Result<Vec<FoundFile>, ConnectError> {
    if !root.is_dir() {
        return Err(ConnectError::RootMissing { path: root.to_owned() });
    }
    let folder = root.join(pattern.folder());
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    // An absolute pattern stands on its own.
    let prefix = if pattern.folder().starts_with('/') { Path::new("") } else { root };
    let mut files = Vec::new();
    for entry in WalkDir::new(&folder).follow_links(true).into_iter().filter_entry(is_visible) {
        let entry = match entry {
            Ok(entry) => entry,
            // A file that vanished between listing and looking was never ours.
            Err(error) if error.io_error().is_some_and(|e| e.kind() == io::ErrorKind::NotFound) => continue,
            Err(error) => {
                let path = error.path().unwrap_or(&folder).to_owned();
                return Err(ConnectError::Unreadable { path, source: error.into() });
            }
        };
        if !entry.file_type().is_file() {
            continue;
        }
        let relative = slashed(entry.path().strip_prefix(prefix).unwrap_or(entry.path()));
        let Some(date) = pattern.matches(&relative) else { continue };
        if let Some(file) = ready(settings, &entry, relative, date)? {
            files.push(file);
        }
    }
    Ok(files)
}

/// Folders and files whose names begin with `.` or `_` belong to somebody else.
fn is_visible(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    entry.depth() == 0
        || !(name.starts_with(['.', '_'])
            || entry.file_type().is_file()
                && UNFINISHED_ENDINGS.iter().any(|ending| name.to_lowercase().ends_with(ending)))
}

/// The file, unless it is to be left for the next run.
fn ready(
    settings: &FilesSettings,
    entry: &DirEntry,
    relative: String,
    date: Option<NaiveDate>,
) -> Result<Option<FoundFile>, ConnectError> {
    if let Some(suffix) = &settings.done_suffix {
        let mut marker = entry.path().as_os_str().to_owned();
        marker.push(suffix);
        if relative.ends_with(suffix.as_str()) || !Path::new(&marker).exists() {
            return Ok(None);
        }
    }
    let unreadable = |source: io::Error| ConnectError::Unreadable { path: entry.path().to_owned(), source };
    let metadata = match entry.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.io_error().is_some_and(|e| e.kind() == io::ErrorKind::NotFound) => return Ok(None),
        Err(error) => return Err(unreadable(error.into())),
    };
    let modified = metadata.modified().map_err(unreadable)?;
    let age = SystemTime::now().duration_since(modified).unwrap_or_default();
    if age.as_secs() < settings.settle_seconds {
        return Ok(None);
    }
    let path = entry.path().to_owned();
    Ok(Some(FoundFile { path, relative, size: metadata.len(), modified: instant_of(modified), date }))
}

fn slashed(path: &Path) -> String {
    let text = path.to_string_lossy();
    if std::path::MAIN_SEPARATOR == '/' { text.into_owned() } else { text.replace(std::path::MAIN_SEPARATOR, "/") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn c08_a_file_may_be_of_any_time() {
        let epoch = SystemTime::UNIX_EPOCH;
        let text = |time: SystemTime| instant_of(time).to_rfc3339();
        assert_eq!(text(epoch + Duration::from_millis(1_500)), "1970-01-01T00:00:01.500+00:00");
        assert_eq!(text(epoch - Duration::from_millis(1_500)), "1969-12-31T23:59:58.500+00:00");
        assert_eq!(text(epoch - Duration::from_secs(1)), "1969-12-31T23:59:59+00:00");
        // Years that no calendar has.
        let far = Duration::from_secs(1 << 50);
        assert_eq!(epoch.checked_add(far).map(instant_of), Some(DateTime::<Utc>::MAX_UTC));
        assert_eq!(epoch.checked_sub(far).map(instant_of), Some(DateTime::<Utc>::MIN_UTC));
    }
}
