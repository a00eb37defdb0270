//! `parse`: read and check the project.

use std::time::Instant;

use clap::Args;

use super::Outcome;
use crate::{args::GlobalArgs, artifacts, failure::Failure, open, printing::note, terminal::counted};

/// Read and check the whole project, and write target/manifest.json
#[derive(Debug, Args)]
pub(crate) struct ParseArgs {}

pub(crate) fn run(global: &GlobalArgs, _: &ParseArgs) -> Result<Outcome, Failure> {
    let started = Instant::now();
    let project = open::project(global, "parse", false)?;
    artifacts::write_manifest(&project)?;
    if !global.quiet {
        let found: Vec<String> = project.inventory().iter().map(|(kind, count)| counted(*count as u64, kind)).collect();
        note(format_args!("Found {} in {:.2}s", found.join(", "), started.elapsed().as_secs_f64()));
    }
    Ok(Outcome::Done)
}
