//! Finds and reads a package's files, each once.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use wardlake_core::{Diagnostic, Diagnostics};

use crate::package::Package;

/// What a file is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FileKind {
    Macro,
    Docs,
    Properties,
    Model,
    Seed,
    Snapshot,
    SingularTest,
    Analysis,
}

/// A file of a package.
#[derive(Clone, Debug)]
pub(crate) struct SourceFile {
    pub(crate) kind: FileKind,
    /// Index into the packages.
    pub(crate) package: usize,
    /// Path below its kind's folder.
    pub(crate) path: String,
    /// Path below its package.
    pub(crate) original: String,
    /// Path below the project, for messages.
    pub(crate) shown: PathBuf,
    /// The whole path.
    pub(crate) file: PathBuf,
    /// Its text; empty for seeds.
    pub(crate) text: String,
}

/// The largest file that is read as text. What people write is a thousand times smaller; what a program wrote into the wrong folder
/// takes minutes and gigabytes to read.
pub(crate) const MAX_TEXT_BYTES: usize = 16 << 20;
/// The same in words.
pub(crate) const MAX_TEXT: &str = "16 MiB";

/// The text of a file of the project.
pub(crate) fn read_text(file: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    // One byte more tells a file that is too large, without reading the rest.
    File::open(file)?.take(MAX_TEXT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_TEXT_BYTES {
        let reason = format!("it is larger than {MAX_TEXT}; split it, or move it out of the project's folders");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not valid UTF-8"))
}

/// All files of all packages, texts read.
pub(crate) fn read_all(packages: &[Package], problems: &mut Diagnostics) -> Vec<SourceFile> {
    let mut files = Vec::new();
    for (index, package) in packages.iter().enumerate() {
        list_package(index, package, &mut files, problems);
    }
    let texts = par_map(&files, |file| match file.kind {
        FileKind::Seed => Ok(String::new()),
        _ => read_text(&file.file),
    });
    let mut read = Vec::with_capacity(files.len());
    for (mut file, text) in files.into_iter().zip(texts) {
        match text {
            Ok(text) => {
                file.text = text;
                read.push(file);
            }
            Err(reason) => problems.push(
                Diagnostic::error("WL-P002", format!("this file cannot be read: {reason}")).at(&file.shown, 1, 1),
            ),
        }
    }
    read
}

fn list_package(index: usize, package: &Package, files: &mut Vec<SourceFile>, problems: &mut Diagnostics) {
    let mut seen: BTreeSet<(FileKind, PathBuf)> = BTreeSet::new();
    let mut add = |kind: FileKind, folder: &str, file: &Path| {
        if !seen.insert((kind, file.to_path_buf())) {
            return;
        }
        let original = file.strip_prefix(&package.dir).unwrap_or(file);
        let path = file.strip_prefix(package.dir.join(folder)).unwrap_or(original);
        files.push(SourceFile {
            kind,
            package: index,
            path: slashes(path),
            original: slashes(original),
            shown: package.prefix.join(original),
            file: file.to_path_buf(),
            text: String::new(),
        });
    };
    let kinds: [(&[String], FileKind); 6] = [
        (&package.macro_paths, FileKind::Macro),
        (&package.model_paths, FileKind::Model),
        (&package.seed_paths, FileKind::Seed),
        (&package.snapshot_paths, FileKind::Snapshot),
        (&package.test_paths, FileKind::SingularTest),
        (&package.analysis_paths, FileKind::Analysis),
    ];
    for (folders, kind) in kinds {
        for folder in folders {
            for file in walk(package, folder) {
                let extension = file.extension().and_then(|e| e.to_str()).unwrap_or_default();
                match (extension, kind) {
                    ("csv", FileKind::Seed) => add(kind, folder, &file),
                    ("sql", FileKind::Seed) => {}
                    ("sql", FileKind::SingularTest) => {
                        let below = file.strip_prefix(package.dir.join(folder)).unwrap_or(&file);
                        match below.components().next().and_then(|c| c.as_os_str().to_str()) {
                            Some("generic") => add(FileKind::Macro, folder, &file),
                            Some("fixtures") => {}
                            _ => add(kind, folder, &file),
                        }
                    }
                    ("sql", _) => add(kind, folder, &file),
                    ("yml" | "yaml", _) => add(FileKind::Properties, folder, &file),
                    ("md", _) if package.docs_paths.is_empty() => add(FileKind::Docs, folder, &file),
                    ("py", FileKind::Model) => {
                        let shown = package.prefix.join(file.strip_prefix(&package.dir).unwrap_or(&file));
                        problems.push(
                            Diagnostic::error("WL-P006", "Python models are not supported")
                                .at(shown, 1, 1)
                                .help("write the model in SQL"),
                        );
                    }
                    _ => {}
                }
            }
        }
    }
    for folder in &package.docs_paths {
        for file in walk(package, folder) {
            match file.extension().and_then(|e| e.to_str()) {
                Some("md") => add(FileKind::Docs, folder, &file),
                Some("yml" | "yaml") => add(FileKind::Properties, folder, &file),
                _ => {}
            }
        }
    }
    // Sources stand beside the models; a project may list the folder in model-paths too.
    for file in walk(package, "sources") {
        if matches!(file.extension().and_then(|e| e.to_str()), Some("yml" | "yaml")) {
            add(FileKind::Properties, "sources", &file);
        }
    }
}

/// Files below a folder in path order, without hidden ones and without what a run itself writes.
fn walk(package: &Package, folder: &str) -> Vec<PathBuf> {
    let own: Vec<PathBuf> = [package.target_path.as_str(), "dbt_packages", "lake", "logs"]
        .into_iter()
        .map(|name| package.dir.join(name))
        .collect();
    let mut files: Vec<PathBuf> = walkdir::WalkDir::new(package.dir.join(folder))
        .follow_links(true)
        .into_iter()
        .filter_entry(|entry| {
            let hidden = entry.depth() > 0 && entry.file_name().to_str().is_some_and(|name| name.starts_with('.'));
            !hidden && (entry.depth() == 0 || !own.iter().any(|path| path == entry.path()))
        })
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect();
    files.sort();
    files
}

/// A path with forward slashes, as artifacts and selectors spell it everywhere.
pub(crate) fn slashes(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|c| c.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// Maps over the machine's cores, in order.
pub(crate) fn par_map<T: Sync, R: Send>(items: &[T], map: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(items.len() / 16 + 1);
    if workers <= 1 {
        return items.iter().map(map).collect();
    }
    let next = AtomicUsize::new(0);
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers)
            .map(|_| {
                scope.spawn(|| {
                    let mut own = Vec::new();
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(item) = items.get(index) else { return own };
                        own.push((index, map(item)));
                    }
                })
            })
            .collect();
        let mut all = Vec::with_capacity(items.len());
        for handle in handles {
            match handle.join() {
                Ok(own) => all.extend(own),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
