//! The settings of a source table's files: `path`, and what stands beside it.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    discover::{FoundFile, belongs, discover},
    pattern::PathPattern,
    pipeline::Limits,
    read_within,
    report::FileReport,
};
use crate::{
    ConnectError, FileTable,
    source::{Extracts, Fields, Kind, Sink, Source, Way},
};

pub(crate) const KIND: Kind = Kind { key: "path", read };

/// What a source table says about its files, with every default filled in.
#[derive(Clone, Debug)]
pub(super) struct FilesSettings {
    /// `root`: the folder that `path` starts from, itself relative to the caller's base folder.
    root: Option<String>,
    /// `path`: one or more patterns.
    pub(super) patterns: Vec<PathPattern>,
    /// `settle_seconds`: a file that changed more recently is left for the next run (default 0).
    pub(super) settle_seconds: u64,
    /// `done_suffix`: a file is taken only when `<file><suffix>` stands beside it (default none).
    pub(super) done_suffix: Option<String>,
}

fn read(fields: &mut Fields<'_>) -> Option<Arc<dyn Source>> {
    let settings = FilesSettings {
        patterns: patterns(fields),
        root: fields.take("root", "a folder"),
        settle_seconds: fields.take("settle_seconds", "a number of seconds").unwrap_or_default(),
        done_suffix: fields.take("done_suffix", "a text such as `.done`"),
    };
    if settings.done_suffix.as_deref() == Some("") {
        fields.problem("done_suffix", "must not be empty".to_owned(), None);
    }
    if settings.patterns.is_empty() {
        return None;
    }
    Some(Arc::new(settings))
}

fn patterns(fields: &mut Fields<'_>) -> Vec<PathPattern> {
    let mut patterns = Vec::new();
    for text in fields.texts("path").unwrap_or_default() {
        match PathPattern::new(&text) {
            Ok(pattern) => patterns.push(pattern),
            Err(message) => fields.problem("path", format!("`{text}` cannot be used: {message}"), None),
        }
    }
    patterns
}

impl FilesSettings {
    /// The folder that the patterns start from.
    pub(super) fn folder(&self, base: &Path) -> PathBuf {
        self.root.as_ref().map_or_else(|| base.to_owned(), |root| base.join(root))
    }
}

impl Source for FilesSettings {
    fn kind(&self) -> &'static str {
        KIND.key
    }

    fn way(&self) -> Way<'_> {
        Way::Extracts(self)
    }
}

impl Extracts for FilesSettings {
    fn folder(&self, base: &Path) -> Option<PathBuf> {
        Some(self.folder(base))
    }

    fn holds(&self, base: &Path, path: &Path) -> bool {
        belongs(self, base, path)
    }

    fn discover(&self, base: &Path) -> Result<Vec<FoundFile>, ConnectError> {
        discover(self, base)
    }

    fn read(
        &self,
        file: &FoundFile,
        table: &FileTable,
        known_columns: Option<&[String]>,
        tee: Option<&mut (dyn Write + Send)>,
        threads: usize,
        sink: Sink<'_>,
    ) -> Result<FileReport, ConnectError> {
        read_within(file, table, known_columns, tee, threads, Limits::default(), sink)
    }
}
