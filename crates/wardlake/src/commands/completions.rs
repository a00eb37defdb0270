//! `completions`: for shells, from the same definitions as the help.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Outcome;
use crate::{args::Cli, failure::Failure};

/// Print the completion script of a shell
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<Outcome, Failure> {
    clap_complete::generate(args.shell, &mut Cli::command(), "wardlake", &mut std::io::stdout());
    Ok(Outcome::Done)
}
