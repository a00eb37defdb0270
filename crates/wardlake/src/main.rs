//! `wardlake`: the command line. Arguments in, events out; the work is done by the crates below.
//!
//! Everything that is printed goes through `printing.rs`: the lints against printing hold here as well.

mod allocator;
mod args;
mod artifacts;
mod commands;
mod environment;
mod examples;
mod failure;
mod handed;
mod json_log;
mod limits;
mod open;
mod printing;
mod project_files;
mod rows;
mod scratch;
mod survey;
mod teller;
mod terminal;

use std::{process::ExitCode, sync::Arc, time::SystemTime};

use tracing_subscriber::EnvFilter;

use crate::{
    printing::{Stream, err},
    teller::{LibraryLines, Queue},
};

fn main() -> ExitCode {
    allocator::give_back_soon();
    let cli = match args::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    // Every date library ends the process by a panic then, in the middle of whatever it does.
    if SystemTime::now() < SystemTime::UNIX_EPOCH {
        err("error: the clock of this machine stands before 1970; set it, and run the command again");
        return ExitCode::from(2);
    }
    // A server hears Ctrl-C itself: it has something to finish.
    let stops_itself = cli.command.stays_up();
    show_library_log(stops_itself);
    let scratch = scratch::Scratch::begin();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = match builder.thread_stack_size(wardlake_engine::THREAD_STACK_BYTES).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            err(format_args!("wardlake: cannot start its threads: {error}"));
            return ExitCode::from(2);
        }
    };
    let (teller, root) = (cli.global.teller.clone(), cli.global.project_dir.clone());
    let outcome = runtime.block_on(async {
        if stops_itself {
            return commands::run(cli).await;
        }
        tokio::select! {
            outcome = commands::run(cli) => outcome,
            _ = tokio::signal::ctrl_c() => Err(failure::Failure::Cancelled),
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    drop(scratch);
    let code = match outcome {
        Ok(commands::Outcome::Done) => ExitCode::SUCCESS,
        Ok(commands::Outcome::Failed) => ExitCode::from(1),
        Err(failure) => failure.report(&teller, &root),
    };
    teller.flush();
    code
}

/// Shows what libraries log, for who asks for it: WARDLAKE_LOG, else RUST_LOG, say what (`debug`, `deltalake=info`). Without either
/// nothing of it is shown: it is written for the libraries' makers, and may hold what no log of ours may.
fn show_library_log(stays_up: bool) {
    let asked = ["WARDLAKE_LOG", "RUST_LOG"].into_iter().find_map(|name| {
        let value = std::env::var(name).ok().filter(|value| !value.trim().is_empty())?;
        Some((name, value))
    });
    let Some((name, value)) = asked else { return };
    let filter = match EnvFilter::try_new(&value) {
        Ok(filter) => filter,
        Err(error) => return err(format_args!("warning: {name} cannot be used, so libraries log nothing: {error}")),
    };
    // Without a thread of its own the log is written where it arises.
    let queue: Option<Arc<Queue>> = if stays_up { Queue::start(Stream::Err).ok() } else { None };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(Stream::Err.is_colored())
        // A line that cannot be written is lost: telling so would fail as well.
        .log_internal_errors(false)
        .with_writer(move || LibraryLines(queue.clone()))
        .init();
}
