//! `build`, `run`, `test`, `seed`, `snapshot`: one function, five choices of node types.

use std::{collections::BTreeSet, sync::Arc};

use clap::Args;
use wardlake_build::BuildOptions;
use wardlake_load::Workspace;
use wardlake_project::{Project, ResourceType};
use wardlake_records::{NodeResult, RunEvent, RunSummary, Status};
use wardlake_serve::{BuildErrand, Errand};

use super::{Outcome, maintain};
use crate::{
    args::{GlobalArgs, RunArgs},
    artifacts,
    failure::Failure,
    handed,
    open::{self, Opened},
    terminal::counted,
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
    let result = hand_over_or_build(global, &opened, command, args, types).await;
    maintain::daily(&opened.workspace).await;
    opened.close().await;
    Ok(if result?.is_success() { Outcome::Done } else { Outcome::Failed })
}

/// Lets the server that has the lake run the nodes, or runs them here, and writes the artifacts.
pub(crate) async fn hand_over_or_build(
    global: &GlobalArgs,
    opened: &Opened,
    command: &str,
    args: &RunArgs,
    types: Vec<ResourceType>,
) -> Result<RunSummary, Failure> {
    let (workspace, threads) = (&opened.workspace, opened.threads);
    let project = &workspace.project;
    let read = project.options();
    let errand = Errand::Build(Box::new(BuildErrand {
        dir: project.dir().to_owned(),
        target: read.target.clone(),
        lake: read.lake.clone(),
        vars: read.vars.clone(),
        env: global.asked.so_far(),
        invocation_id: read.invocation_id.clone(),
        run_started_at: read.run_started_at,
        options: build_options(command, args, types.clone(), threads),
    }));
    let mut summary = RunSummary::default();
    let tell = |event: RunEvent| {
        match &event {
            RunEvent::NodeFinished { result, .. } => summary.results.push(result.clone()),
            RunEvent::EpochPublished { epoch } => summary.epoch = Some(*epoch),
            RunEvent::RunFinished { totals, duration_s, .. } => {
                (summary.totals, summary.duration_s) = (*totals, *duration_s);
            }
            _ => {}
        }
        let published = match event {
            RunEvent::EpochPublished { epoch } => Some(epoch),
            _ => None,
        };
        workspace.events.tell(event);
        if let Some(warning) = published.and_then(|epoch| untested(project, &summary.results, epoch)) {
            workspace.events.warn(warning);
        }
    };
    match handed::to_server(workspace, &errand, args.wait.wait, tell).await? {
        Some(_) => {
            write_artifacts(project, command, &summary)?;
            Ok(summary)
        }
        None => {
            workspace.lake.begin_writing();
            build_and_record(workspace, project, command, args, types, threads).await
        }
    }
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
    let options = build_options(command, args, types, threads);
    let built = wardlake_build::build(Arc::clone(workspace), options).await?;
    if let Some(epoch) = built.epoch()
        && let Some(warning) = untested(project, built.results(), epoch)
    {
        workspace.events.warn(warning);
    }
    wardlake_trust::after(&built).await;
    let summary = built.finish().await?;
    write_artifacts(project, command, &summary)?;
    Ok(summary)
}

fn build_options(command: &str, args: &RunArgs, types: Vec<ResourceType>, threads: usize) -> BuildOptions {
    BuildOptions {
        command: command.to_owned(),
        select: args.select.taken(),
        exclude: args.select.exclude.clone(),
        resource_types: types,
        full_refresh: args.full_refresh,
        fail_fast: args.fail_fast,
        threads,
        store_failures: args.store_failures,
    }
}

fn write_artifacts(project: &Project, command: &str, summary: &RunSummary) -> Result<(), Failure> {
    artifacts::write_manifest(project)?;
    artifacts::write_results(project, command, summary)
}

/// What is said of an epoch whose tables have tests that this command did not run: nothing held bad rows back from readers.
fn untested(project: &Project, results: &[NodeResult], epoch: u64) -> Option<String> {
    let written: BTreeSet<&str> = results
        .iter()
        .filter(|result| result.status == Status::Success && !result.is_reused)
        .map(|result| result.unique_id.as_str())
        .collect();
    let run: BTreeSet<&str> = results.iter().map(|result| result.unique_id.as_str()).collect();
    let tests = project.nodes().values().filter(|node| {
        node.resource_type == ResourceType::Test
            && !run.contains(node.unique_id.as_str())
            && node.depends_on.nodes.iter().any(|id| written.contains(id.as_str()))
    });
    let count = tests.count();
    (count > 0).then(|| {
        let (tests, were) = (counted(count as u64, "test"), if count == 1 { "was" } else { "were" });
        format!(
            "epoch {epoch} is published untested: {tests} of what was written {were} not run. `wardlake build` runs tests before \
             it publishes, and publishes nothing that fails them; `wardlake test` runs them on what is published now"
        )
    })
}
