//! `build`, `run`, `test`, `seed`, `snapshot`: one function, five choices of node types.

use std::sync::Arc;

use clap::Args;
use wardlake_build::BuildOptions;
use wardlake_load::Workspace;
use wardlake_project::{Project, ResourceType};
use wardlake_records::RunSummary;

use super::{Outcome, maintain};
use crate::{
    args::{GlobalArgs, RunArgs},
    artifacts,
    failure::Failure,
    open::{self, Opened},
};

/// Build everything in graph order: seeds, models, snapshots and the tests on them
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Only nodes of these types: model, seed, snapshot, test
    #[arg(long, num_args = 1.., value_name = "TYPE")]
    resource_type: Vec<ResourceType>,
}

/// Build models, without their tests
#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    #[command(flatten)]
    run: RunArgs,
}

/// Run tests on what is built
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    run: RunArgs,
}

/// Load the project's CSV files
#[derive(Debug, Args)]
pub(crate) struct SeedArgs {
    #[command(flatten)]
    run: RunArgs,
}

/// Bring snapshots up to date
#[derive(Debug, Args)]
pub(crate) struct SnapshotArgs {
    #[command(flatten)]
    run: RunArgs,
}

pub(crate) async fn build(global: &GlobalArgs, args: &BuildArgs) -> Result<Outcome, Failure> {
    run(global, "build", &args.run, args.resource_type.clone()).await
}

pub(crate) async fn models(global: &GlobalArgs, args: &ModelsArgs) -> Result<Outcome, Failure> {
    run(global, "run", &args.run, vec![ResourceType::Model]).await
}

pub(crate) async fn tests(global: &GlobalArgs, args: &TestArgs) -> Result<Outcome, Failure> {
    run(global, "test", &args.run, vec![ResourceType::Test]).await
}

pub(crate) async fn seeds(global: &GlobalArgs, args: &SeedArgs) -> Result<Outcome, Failure> {
    run(global, "seed", &args.run, vec![ResourceType::Seed]).await
}

pub(crate) async fn snapshots(global: &GlobalArgs, args: &SnapshotArgs) -> Result<Outcome, Failure> {
    run(global, "snapshot", &args.run, vec![ResourceType::Snapshot]).await
}

async fn run(global: &GlobalArgs, command: &str, args: &RunArgs, types: Vec<ResourceType>) -> Result<Outcome, Failure> {
    let project = open::project(global, command, args.full_refresh)?;
    let opened = Opened::open(global, Arc::clone(&project)).await?;
    let result = build_and_record(&opened.workspace, &project, command, args, types, opened.threads).await;
    maintain::daily(&opened.workspace).await;
    opened.close().await;
    Ok(if result?.is_success() { Outcome::Done } else { Outcome::Failed })
}

/// Runs the nodes and writes the artifacts.
pub(crate) async fn build_and_record(
    workspace: &Arc<Workspace>,
    project: &Arc<Project>,
    command: &str,
    args: &RunArgs,
    types: Vec<ResourceType>,
    threads: usize,
) -> Result<RunSummary, Failure> {
    let options = BuildOptions {
        command: command.to_owned(),
        select: args.select.taken(),
        exclude: args.select.exclude.clone(),
        resource_types: types,
        full_refresh: args.full_refresh,
        fail_fast: args.fail_fast,
        threads,
        store_failures: args.store_failures,
    };
    let built = wardlake_build::build(Arc::clone(workspace), options).await?;
    wardlake_trust::after(&built).await;
    let summary = built.finish().await?;
    artifacts::write_manifest(project)?;
    artifacts::write_results(project, command, &summary)?;
    Ok(summary)
}
