//! The arguments all commands share. Each command's own stand in its file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands;

/// A hospital's data platform in one binary: lands extracts, builds and tests a Delta warehouse from SQL models, and
/// publishes what passed.
#[derive(Debug, Parser)]
#[command(name = "wardlake", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
}

/// How a run is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per event.
    Json,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct GlobalArgs {
    /// The project folder, which holds dbt_project.yml
    #[arg(long, global = true, default_value = ".", value_name = "DIR")]
    pub(crate) project_dir: PathBuf,
    /// The target of wardlake.yml
    #[arg(short, long, global = true, env = "WARDLAKE_TARGET", value_name = "NAME")]
    pub(crate) target: Option<String>,
    /// Variables for the project, as a YAML or JSON map
    #[arg(long, global = true, value_name = "YAML")]
    pub(crate) vars: Option<String>,
    /// The lake: a folder, file://, s3://, abfss:// or gs:// URL; overrides wardlake.yml
    #[arg(long, global = true, env = "WARDLAKE_LAKE", value_name = "URL")]
    pub(crate) lake: Option<String>,
    /// Nodes at once; overrides wardlake.yml
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: Option<u16>,
    /// How a run is told
    #[arg(long, global = true, value_enum, default_value_t, env = "WARDLAKE_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,
    /// Say only what went wrong
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// dbt's selection flags.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SelectArgs {
    /// What to take: names, +n, @n, wildcards, tag:, path:, source:, config:, resource_type:
    #[arg(short, long, num_args = 1.., value_name = "SELECTOR", visible_alias = "models", short_alias = 'm')]
    pub(crate) select: Vec<String>,
    /// What to leave out
    #[arg(long, num_args = 1.., value_name = "SELECTOR")]
    pub(crate) exclude: Vec<String>,
}

/// Flags of the commands that run nodes.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Rebuild incremental models, seeds and unchanged tables from nothing
    #[arg(short, long)]
    pub(crate) full_refresh: bool,
    /// Stop at the first failure
    #[arg(short = 'x', long)]
    pub(crate) fail_fast: bool,
    /// Keep the rows that tests find in tables
    #[arg(long)]
    pub(crate) store_failures: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(commands::init::InitArgs),
    Demo(commands::demo::DemoArgs),
    Ingest(commands::ingest::IngestArgs),
    Build(commands::build::BuildArgs),
    Run(commands::build::ModelsArgs),
    Test(commands::build::TestArgs),
    Seed(commands::build::SeedArgs),
    Snapshot(commands::build::SnapshotArgs),
    Compile(commands::compile::CompileArgs),
    Parse(commands::parse::ParseArgs),
    #[command(visible_alias = "list")]
    Ls(commands::ls::LsArgs),
    Show(commands::show::ShowArgs),
    Sql(commands::sql::SqlArgs),
    Epochs(commands::epochs::EpochsArgs),
    Quality(commands::quality::QualityArgs),
    Quarantine(commands::quarantine::QuarantineArgs),
    Explain(commands::explain::ExplainArgs),
    Identity(commands::identity::IdentityArgs),
    Clean(commands::clean::CleanArgs),
    Debug(commands::debug::DebugArgs),
    Serve(commands::serve::ServeArgs),
    Simulate(commands::simulate::SimulateArgs),
    Score(commands::score::ScoreArgs),
    Completions(commands::completions::CompletionsArgs),
    Man(commands::man::ManArgs),
}
