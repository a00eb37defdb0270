//! `reference`: the pages of `docs/reference/`, for who has nothing but the binary.

use clap::{Args, ValueEnum};

use super::{Outcome, functions};
use crate::{failure::Failure, printing::raw};

/// Print a page of reference: every setting with its values, every SQL function
#[derive(Debug, Args)]
pub(crate) struct ReferenceArgs {
    /// Which page
    #[arg(value_enum)]
    page: Page,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Page {
    /// Settings of a source table
    Sources,
    /// Expectations, repairs and filters of a model
    Expectations,
    /// SQL functions that Wardlake adds
    Functions,
}

pub(crate) fn run(args: &ReferenceArgs) -> Result<Outcome, Failure> {
    match args.page {
        Page::Sources => raw(include_str!("../../../../docs/reference/sources.md"))?,
        Page::Expectations => raw(include_str!("../../../../docs/reference/expectations.md"))?,
        Page::Functions => raw(&functions::page())?,
    }
    Ok(Outcome::Done)
}
