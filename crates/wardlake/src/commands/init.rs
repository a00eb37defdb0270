//! `init`: a folder to start from.

use std::path::PathBuf;

use clap::Args;

use super::Outcome;
use crate::{args::GlobalArgs, failure::Failure, project_files};

/// Write the hospital project into a folder, to be made one's own
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The folder; the current one if none is named
    dir: Option<PathBuf>,
}

pub(crate) fn run(global: &GlobalArgs, args: &InitArgs) -> Result<Outcome, Failure> {
    let dir = args.dir.clone().unwrap_or_else(|| global.project_dir.clone());
    if dir.join("dbt_project.yml").exists() {
        return Err(Failure::Usage(format!(
            "{} holds a project already (dbt_project.yml); choose another folder",
            dir.display()
        )));
    }
    std::fs::create_dir_all(&dir).map_err(Failure::file(&dir))?;
    let written = project_files::write(&dir)?;
    println!("Wrote {written} files of the hospital project to {}.", dir.display());
    println!("Put your extracts under landing/ (or set WARDLAKE_LANDING), then: wardlake ingest && wardlake build");
    Ok(Outcome::Done)
}
