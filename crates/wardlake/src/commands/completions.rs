//! `completions`: for shells, from the same definitions as the help.

use clap::Args;
use clap_complete::Shell;

use super::Outcome;
use crate::{args, failure::Failure, printing::raw, rows};

/// Print the completion script of a shell
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<Outcome, Failure> {
    // Into memory first: the generator takes a reader who has gone for a fault of its own.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "wardlake", &mut script);
    raw(&String::from_utf8(script).map_err(rows::output)?)?;
    Ok(Outcome::Done)
}
