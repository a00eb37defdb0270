//! `wardlake`: the command line. Arguments in, events out; the work is done by the crates below.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the one crate that talks to a terminal")]

mod allocator;
mod args;
mod artifacts;
mod commands;
mod failure;
mod json_log;
mod open;
mod project_files;
mod rows;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    allocator::give_back_soon();
    let cli = args::Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("WARDLAKE_LOG"))
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("wardlake: cannot start its threads: {error}");
            return ExitCode::from(2);
        }
    };
    // A server hears Ctrl-C itself: it has something to finish.
    let stops_itself = matches!(cli.command, args::Command::Serve(_));
    let outcome = runtime.block_on(async {
        if stops_itself {
            return commands::run(cli).await;
        }
        tokio::select! {
            outcome = commands::run(cli) => outcome,
            _ = tokio::signal::ctrl_c() => Err(wardlake_runner::RunnerError::Cancelled.into()),
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    match outcome {
        Ok(commands::Outcome::Done) => ExitCode::SUCCESS,
        Ok(commands::Outcome::Failed) => ExitCode::from(1),
        Err(failure) => failure.report(),
    }
}
