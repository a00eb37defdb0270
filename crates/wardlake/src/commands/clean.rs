//! `clean`: remove what the next command makes again.

use clap::Args;

use super::Outcome;
use crate::{args::GlobalArgs, failure::Failure, open};

/// Remove the project's clean-targets (target/ and the like); the lake is never touched
#[derive(Debug, Args)]
pub(crate) struct CleanArgs {}

pub(crate) fn run(global: &GlobalArgs, _: &CleanArgs) -> Result<Outcome, Failure> {
    let project = open::project(global, "clean", false)?;
    let root = project.dir().canonicalize().map_err(Failure::file(project.dir()))?;
    for folder in project.clean_targets() {
        let path = root.join(folder);
        let Ok(path) = path.canonicalize() else { continue };
        // As in dbt: nothing outside the project, and not the project itself.
        if !path.starts_with(&root) || path == root {
            return Err(Failure::Usage(format!(
                "clean-targets names {}, which is outside the project",
                path.display()
            )));
        }
        if project.lake_url().starts_with(path.to_string_lossy().as_ref()) {
            return Err(Failure::Usage(format!("clean-targets names {}, which holds the lake", path.display())));
        }
        std::fs::remove_dir_all(&path).map_err(Failure::file(&path))?;
        println!("Removed {}", path.display());
    }
    Ok(Outcome::Done)
}
