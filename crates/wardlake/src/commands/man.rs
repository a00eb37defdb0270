//! `man`: the manual page, from the same definitions as the help.

use clap::{Args, CommandFactory};

use super::Outcome;
use crate::{args::Cli, failure::Failure};

/// Print the manual page
#[derive(Debug, Args)]
pub(crate) struct ManArgs {}

pub(crate) fn run(_: &ManArgs) -> Result<Outcome, Failure> {
    let page = clap_mangen::Man::new(Cli::command());
    page.render(&mut std::io::stdout()).map_err(Failure::file("standard output".as_ref()))?;
    Ok(Outcome::Done)
}
