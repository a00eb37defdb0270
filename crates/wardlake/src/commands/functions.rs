//! `functions`: the SQL functions, from the documentation that is registered with them.

use std::fmt::Write;

use clap::Args;
use wardlake_core::did_you_mean;
use wardlake_engine::functions::{self, FunctionDoc, OtherFunction};

use super::Outcome;
use crate::{
    failure::Failure,
    printing::{Unwritten, out_prose},
};

/// List the SQL functions that Wardlake adds, or show one function
#[derive(Debug, Args)]
pub(crate) struct FunctionsArgs {
    /// The function to show: one of Wardlake's or one of DataFusion's
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

pub(crate) fn run(args: &FunctionsArgs) -> Result<Outcome, Failure> {
    let own = functions::catalogue();
    match &args.name {
        None => own.iter().try_for_each(show)?,
        Some(name) => show_named(&own, &name.to_lowercase())?,
    }
    Ok(Outcome::Done)
}

fn show(function: &FunctionDoc) -> Result<(), Unwritten> {
    let FunctionDoc { signature, description, example, .. } = function;
    out_prose(format_args!("{signature}\n    {description}\n    {example}\n"))
}

fn show_named(own: &[FunctionDoc], name: &str) -> Result<(), Failure> {
    let ours: Vec<&FunctionDoc> = own.iter().filter(|function| names(function).any(|own| own == name)).collect();
    if !ours.is_empty() {
        return Ok(ours.into_iter().try_for_each(show)?);
    }
    let others = functions::of_datafusion();
    match others.iter().find(|function| function.name == name) {
        Some(OtherFunction { signature, description, arguments, .. }) => {
            let mut text = format!("{signature}\n    {}\n", indented(description));
            for (argument, about) in arguments {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "    {argument}: {}", indented(about));
            }
            Ok(out_prose(text)?)
        }
        None => {
            let known = own.iter().flat_map(names).chain(others.iter().map(|function| function.name.as_str()));
            let near = did_you_mean(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            Err(Failure::Usage(format!(
                "there is no SQL function `{name}`{near}. `wardlake functions` lists those that Wardlake adds to DataFusion's"
            )))
        }
    }
}

fn indented(text: &str) -> String {
    text.trim().replace('\n', "\n    ")
}

/// The names a function is called by: each of its forms may have another.
fn names(function: &FunctionDoc) -> impl Iterator<Item = &str> {
    let forms = function.signature.lines().filter_map(|form| form.split_once('(').map(|(name, _)| name.trim()));
    std::iter::once(function.name).chain(forms)
}

/// All of them as a page of the documentation.
pub(super) fn page() -> String {
    let mut text = "# SQL functions\n\nWhat Wardlake adds to the functions of DataFusion, or reads otherwise. `wardlake functions \
                    NAME` shows one of them, or of DataFusion's, at the\nkeyboard. This page is written by `cargo xtask reference` \
                    from the functions' own documentation.\n"
        .to_owned();
    for FunctionDoc { signature, description, example, .. } in functions::catalogue() {
        let mut forms = signature.lines();
        let _ = write!(text, "\n## `{}`\n\n", forms.next().unwrap_or_default());
        let others: Vec<String> = forms.map(|form| format!("`{form}`")).collect();
        if !others.is_empty() {
            let _ = write!(text, "Also {}.\n\n", others.join(", "));
        }
        let _ = write!(text, "{description}\n\n    {example}\n");
    }
    text
}
