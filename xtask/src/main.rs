//! Every command a developer of Wardlake runs, and the ones CI runs: `cargo xtask --help` lists them.
//!
//! A task starts other programs and adds nothing to what they print, so that what fails here fails alike by hand.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod check;
mod figures;
mod kafka;
mod kinds;
mod mutants;
mod owners;
mod process;
mod python;
mod reference;
mod rings;
mod soak;
mod source;
mod test;
mod tools;
mod trials;
mod viewers;
mod walls;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::process::TaskResult;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The dev commands of Wardlake", long_about = None)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Format the workspace.
    Fmt {
        /// Change nothing; fail if a file is not formatted.
        #[arg(long)]
        check: bool,
    },
    /// Clippy over every target of the workspace; a warning is an error.
    Lint,
    /// Licences, banned crates and sources of every dependency; advisories where their database can be reached.
    Deny,
    /// Dependencies that a manifest names and no code uses.
    Machete,
    /// The API documentation; a warning is an error.
    Docs,
    /// Prove that crates reach nothing forbidden, that files form no large ring, that only listed files read as the system, that kinds of
    /// source are named in their own folder alone, and that each fault users found has a test.
    Walls,
    /// Count code, tests and documentation; fail where there is too little of the last two.
    Figures,
    /// Write docs/reference/ from the JSON Schemas and the functions' own documentation.
    Reference,
    /// Every test of the workspace, with what they need set up first.
    Test(test::Args),
    /// Put ten faults into a copy of the tree, one after the other: a test fails for each. Builds each, and takes long.
    Mutants(mutants::Args),
    /// Kill and pause the servers of one lake over and over; compare what senders were told with the lake.
    Owners(owners::Args),
    /// A server over a day of a clock of its own: what it takes of disk, memory and time does not grow.
    Soak(soak::Args),
    /// Measure Wardlake beside its peers and print the table.
    Bench(bench::Args),
    /// What CI runs, in CI's order.
    Ci,
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> TaskResult {
    match task {
        Task::Fmt { check } => check::fmt(check),
        Task::Lint => check::lint(),
        Task::Deny => check::deny(),
        Task::Machete => check::machete(),
        Task::Docs => check::docs(),
        Task::Walls => walls::check(),
        Task::Figures => figures::check(),
        Task::Reference => reference::write(),
        Task::Test(args) => test::run(&args),
        Task::Mutants(args) => mutants::check(&args),
        Task::Owners(args) => owners::run(&args),
        Task::Soak(args) => soak::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Ci => ci(),
    }
}

/// The order of `.ci/run`: what fails soonest comes first.
fn ci() -> TaskResult {
    check::fmt(true)?;
    walls::check()?;
    figures::check()?;
    check::deny()?;
    check::machete()?;
    check::lint()?;
    check::docs()?;
    test::run(&test::Args::default())
}
