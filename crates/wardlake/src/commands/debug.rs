//! `debug`: does everything a command needs work here?

use std::sync::Arc;

use clap::Args;
use wardlake_engine::{ReadState, functions};

use super::Outcome;
use crate::{args::GlobalArgs, failure::Failure, open};

/// Check the project, the lake and the engine, and say where they are
#[derive(Debug, Args)]
pub(crate) struct DebugArgs {
    /// List the SQL functions that Wardlake adds
    #[arg(long)]
    functions: bool,
}

pub(crate) async fn run(global: &GlobalArgs, args: &DebugArgs) -> Result<Outcome, Failure> {
    if args.functions {
        for function in functions::catalogue() {
            println!("{}\n    {}\n    {}\n", function.signature, function.description, function.example);
        }
        return Ok(Outcome::Done);
    }
    println!("wardlake {} ({})", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let project = open::project(global, "debug", false)?;
    println!("project   {} [OK]", project.dir().display());
    println!(
        "target    {} (schema {}, {} threads)",
        project.target().name,
        project.target().schema,
        project.target().threads
    );
    let workspace = open::quiet_workspace(Arc::clone(&project)).await?;
    let probe = "_state/probe".into();
    workspace.lake.put(&probe, chrono::Utc::now().to_rfc3339()).await?;
    println!("lake      {} [OK, writable]", workspace.lake.url());
    match workspace.lake.newest_epoch().await? {
        Some(epoch) => {
            println!("epoch     {} ({} tables, {} views)", epoch.number, epoch.tables.len(), epoch.views.len())
        }
        None => println!("epoch     none published yet"),
    }
    let session = workspace.engine.session(ReadState::Working).await?;
    session.collect("select 1 as one").await?;
    let limit = workspace.engine.options().memory_limit_bytes >> 20;
    println!(
        "engine    [OK] ({limit} MiB, {} threads, {} functions of its own)",
        workspace.engine.options().threads,
        functions::catalogue().len()
    );
    Ok(Outcome::Done)
}
