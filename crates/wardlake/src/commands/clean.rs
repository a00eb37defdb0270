//! `clean`: remove what the next command makes again.

use std::path::{Path, PathBuf};

use clap::Args;
use wardlake_project::Project;
use wardlake_storage::{Lake, StorageError};

use super::Outcome;
use crate::{args::GlobalArgs, failure::Failure, open, printing::note};

/// Remove the project's clean-targets (target/ and the like); the lake is never touched
#[derive(Debug, Args)]
pub(crate) struct CleanArgs {}

pub(crate) async fn run(global: &GlobalArgs, _: &CleanArgs) -> Result<Outcome, Failure> {
    let project = open::project(global, "clean", false)?;
    let root = project.dir().canonicalize().map_err(Failure::file(project.dir()))?;
    let lake = local_lake(&project).await?;
    let mut folders = Vec::new();
    for named in project.clean_targets() {
        let Ok(path) = root.join(named).canonicalize() else { continue };
        if let Some(reason) = protection(&path, &root, &project, lake.as_deref())? {
            return Err(Failure::Usage(format!(
                "clean-targets of dbt_project.yml names {}, which {reason}; nothing was removed",
                path.display()
            )));
        }
        folders.push(path);
    }
    // One may lie in another.
    for path in folders.iter().filter(|path| path.exists()) {
        std::fs::remove_dir_all(path).map_err(Failure::file(path))?;
        note(format_args!("Removed {}", path.display()));
    }
    Ok(Outcome::Done)
}

/// The folder of the project's lake, if it is on this machine and there.
async fn local_lake(project: &Project) -> Result<Option<PathBuf>, Failure> {
    let url = project.lake_url();
    if url.split_once("://").is_some_and(|(scheme, _)| scheme != "file") {
        return Ok(None);
    }
    match Lake::open_existing(url).await {
        Ok(lake) => Ok(lake.local_path().map(Path::to_path_buf)),
        Err(StorageError::Url { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Why a folder is not to be removed.
fn protection(path: &Path, root: &Path, project: &Project, lake: Option<&Path>) -> Result<Option<String>, Failure> {
    // As in dbt: nothing outside the project, and nothing that the project is made of.
    if !path.starts_with(root) || path == root {
        return Ok(Some("is not a folder within the project".to_owned()));
    }
    let package = project.root();
    let kinds = [
        &package.model_paths,
        &package.seed_paths,
        &package.snapshot_paths,
        &package.test_paths,
        &package.macro_paths,
        &package.analysis_paths,
    ];
    let mut parts = kinds.into_iter().flatten().filter_map(|folder| root.join(folder).canonicalize().ok());
    if let Some(part) = parts.find(|part| part.starts_with(path)) {
        return Ok(Some(format!("holds files of the project ({})", part.display())));
    }
    if lake.is_some_and(|lake| lake.starts_with(path) || path.starts_with(lake)) {
        return Ok(Some("holds the lake, or lies in it".to_owned()));
    }
    let found = part_of_a_lake(path, lake)?;
    Ok(found.map(|found| format!("holds a lake ({})", found.display())))
}

/// What tables, epochs and landed bytes lie in, whichever target's they are. No command makes them again.
const SIGNS: [&str; 3] = ["_delta_log", "_epochs", "_landing"];
/// Deliveries that a server has acknowledged.
const JOURNAL: &str = ".journal";

/// Something of a lake below a folder, or the link by which the project's own is reached.
fn part_of_a_lake(folder: &Path, lake: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    if !folder.is_dir() {
        return Ok(None);
    }
    for entry in std::fs::read_dir(folder).map_err(Failure::file(folder))? {
        let entry = entry.map_err(Failure::file(folder))?;
        let (path, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type().map_err(Failure::file(&path))?;
        let is_part = match kind.is_symlink() {
            // Of a link only itself is removed.
            true => path.canonicalize().is_ok_and(|to| Some(to.as_path()) == lake),
            false => SIGNS.iter().any(|sign| name == *sign) || name.to_string_lossy().ends_with(JOURNAL),
        };
        if is_part {
            return Ok(Some(path));
        }
        if kind.is_dir()
            && let Some(found) = part_of_a_lake(&path, lake)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
