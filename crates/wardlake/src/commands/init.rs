//! `init`: a folder to start from.

use std::path::{Path, PathBuf};

use clap::Args;
use wardlake_project::{LoadOptions, Project};

use super::Outcome;
use crate::{
    args::GlobalArgs,
    failure::{Failure, has_problems, tell_problems},
    printing::note,
    project_files::{self, write_new},
    survey::{self, Survey},
    terminal::counted,
};

/// Write the hospital project into a folder, to be made one's own; or start from nothing, or from files that are there
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The folder; the current one if none is named
    dir: Option<PathBuf>,
    /// Write a project with nothing in it
    #[arg(long, conflicts_with = "from")]
    empty: bool,
    /// Look at a folder of files and write what reads them: a source file, and a staging model for each table. They go into the
    /// project that is there, or into a new one; no file is written over
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
}

pub(crate) fn run(global: &GlobalArgs, args: &InitArgs) -> Result<Outcome, Failure> {
    let dir = args.dir.clone().unwrap_or_else(|| global.project_dir.clone());
    match &args.from {
        Some(folder) => from_files(global, &dir, folder),
        None if args.empty => empty(&dir),
        None => hospital(&dir),
    }
}

fn hospital(dir: &Path) -> Result<Outcome, Failure> {
    project_files::require_empty(dir)?;
    let written = project_files::write(dir)?;
    note(format_args!("Wrote {written} files of the hospital project to {}.", dir.display()));
    note("Put your extracts under landing/ (or set WARDLAKE_LANDING), then: wardlake ingest && wardlake build");
    Ok(Outcome::Done)
}

fn empty(dir: &Path) -> Result<Outcome, Failure> {
    project_files::require_no_project(dir)?;
    write_empty(dir)?;
    for folder in ["models", "sources"] {
        let folder = dir.join(folder);
        std::fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
    }
    note(
        "sources/ says where files come from (`wardlake init --from FOLDER` proposes it), models/ what is made of them.",
    );
    Ok(Outcome::Done)
}

/// The files of an empty project, each named; those that are there already stay.
fn write_empty(dir: &Path) -> Result<(), Failure> {
    for (name, text) in project_files::empty_project(&project_files::project_name(dir)) {
        write_named(&dir.join(name), &text)?;
    }
    Ok(())
}

fn write_named(path: &Path, text: &str) -> Result<(), Failure> {
    match write_new(path, text.as_bytes())? {
        true => note(format_args!("Wrote {}", path.display())),
        false => note(format_args!("Kept {}, which was there already", path.display())),
    }
    Ok(())
}

fn from_files(global: &GlobalArgs, dir: &Path, folder: &Path) -> Result<Outcome, Failure> {
    let folder = folder.canonicalize().map_err(Failure::file(folder))?;
    if !folder.is_dir() {
        return Err(Failure::Usage(format!("{} is a file; --from names the folder it stands in", folder.display())));
    }
    std::fs::create_dir_all(dir).map_err(Failure::file(dir))?;
    let found = survey::survey(&folder, root_of(dir, &folder)?)?;
    if found.tables.is_empty() {
        let seen = survey::summary(&found);
        return Err(Failure::Usage(format!("there is no file in {} that can be read\n{seen}", folder.display())));
    }
    let source_file = dir.join("sources").join(format!("{}.yml", found.source));
    if source_file.exists() {
        return Err(Failure::Usage(format!(
            "{} is there already and nothing was written; remove it, or name another folder",
            source_file.display()
        )));
    }
    if !dir.join("dbt_project.yml").exists() {
        write_empty(dir)?;
    }
    write_named(&source_file, &survey::source_file(&found))?;
    let staging = dir.join("models").join("staging").join(&found.source);
    for table in &found.tables {
        let model = staging.join(format!("stg_{}__{}.sql", found.source, table.name));
        write_named(&model, &survey::staging_model(&found, table))?;
    }
    note(format_args!(
        "\n{} in {}:\n{}",
        counted(found.tables.len() as u64, "table"),
        folder.display(),
        survey::summary(&found)
    ));
    check(global, dir, &found)?;
    note("Look through what was written, then: wardlake ingest && wardlake build");
    Ok(Outcome::Done)
}

/// The folder as the source file names it: below the project by its way from there, so that both can be moved together.
fn root_of(dir: &Path, folder: &Path) -> Result<String, Failure> {
    let dir = dir.canonicalize().map_err(Failure::file(dir))?;
    let root = match folder.strip_prefix(&dir) {
        Ok(below) if below.as_os_str().is_empty() => Path::new("."),
        Ok(below) => below,
        Err(_) => folder,
    };
    match root.to_str() {
        Some(root) => Ok(root.to_owned()),
        None => Err(Failure::Usage(format!("the name of {} is not Unicode, so no file can name it", root.display()))),
    }
}

/// Reads the project as the next command will.
fn check(global: &GlobalArgs, dir: &Path, found: &Survey) -> Result<(), Failure> {
    let project = Project::load(LoadOptions::new(dir)).map_err(|problems| {
        tell_problems(&problems, dir, &global.teller);
        Failure::Usage(format!("what was written stays, but {}", has_problems(&problems)))
    })?;
    if !project.sources().values().any(|source| source.source_name == found.source) {
        note("`model-paths` of dbt_project.yml does not name `sources`: add it there, or the new file is not read.");
    }
    Ok(())
}
