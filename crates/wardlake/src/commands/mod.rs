//! One file per command: its arguments, whose comments are its help, and one function.

pub(crate) mod build;
pub(crate) mod clean;
pub(crate) mod compile;
pub(crate) mod completions;
pub(crate) mod debug;
pub(crate) mod demo;
pub(crate) mod epochs;
pub(crate) mod explain;
pub(crate) mod feed;
pub(crate) mod functions;
pub(crate) mod identity;
pub(crate) mod ingest;
pub(crate) mod init;
pub(crate) mod ls;
pub(crate) mod maintain;
pub(crate) mod man;
pub(crate) mod parse;
pub(crate) mod quality;
pub(crate) mod quarantine;
pub(crate) mod reference;
pub(crate) mod score;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod simulate;
pub(crate) mod sql;

use crate::{
    args::{Cli, Command},
    failure::Failure,
};

/// How a command ended when it could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything went well: exit code 0.
    Done,
    /// Some node failed: exit code 1.
    Failed,
}

/// Runs the command.
pub(crate) async fn run(cli: Cli) -> Result<Outcome, Failure> {
    let global = cli.global;
    match cli.command {
        Command::Init(args) => init::run(&global, &args),
        Command::Demo(args) => demo::run(&global, &args).await,
        Command::Ingest(args) => ingest::run(&global, &args).await,
        Command::Build(args) => build::build(&global, &args).await,
        Command::Run(args) => build::models(&global, &args).await,
        Command::Test(args) => build::tests(&global, &args).await,
        Command::Seed(args) => build::seeds(&global, &args).await,
        Command::Snapshot(args) => build::snapshots(&global, &args).await,
        Command::Compile(args) => compile::run(&global, &args).await,
        Command::Parse(args) => parse::run(&global, &args),
        Command::Ls(args) => ls::run(&global, &args),
        Command::Show(args) => show::run(&global, &args).await,
        Command::Sql(args) => sql::run(&global, &args).await,
        Command::Epochs(args) => epochs::run(&global, &args).await,
        Command::Identity(args) => identity::run(&global, &args).await,
        Command::Quality(args) => quality::run(&global, &args).await,
        Command::Quarantine(args) => quarantine::run(&global, &args).await,
        Command::Feed(args) => feed::run(&global, &args).await,
        Command::Explain(args) => explain::run(&global, &args).await,
        Command::Score(args) => score::run(&global, &args).await,
        Command::Maintain(args) => maintain::run(&global, &args).await,
        Command::Clean(args) => clean::run(&global, &args).await,
        Command::Debug(args) => debug::run(&global, &args).await,
        Command::Functions(args) => functions::run(&args),
        Command::Reference(args) => reference::run(&args),
        Command::Serve(args) => serve::run(&global, &args).await,
        Command::Simulate(args) => simulate::run(&args).await,
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}
