//! `man`: the manual page, from the same definitions as the help.

use clap::Args;

use super::Outcome;
use crate::{args, failure::Failure, printing::raw, rows};

/// Print the manual page
#[derive(Debug, Args)]
pub(crate) struct ManArgs {}

pub(crate) fn run(_: &ManArgs) -> Result<Outcome, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(args::command()).render(&mut page).map_err(rows::output)?;
    raw(&String::from_utf8(page).map_err(rows::output)?)?;
    Ok(Outcome::Done)
}
