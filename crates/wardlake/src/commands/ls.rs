//! `ls`: what a selection selects.

use clap::{Args, ValueEnum};
use serde_json::json;
use wardlake_project::ResourceType;

use super::Outcome;
use crate::{
    args::{GlobalArgs, SelectArgs},
    failure::Failure,
    open,
    printing::{Unwritten, err, out, out_json, safe_line},
};

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    /// package.folder.name
    #[default]
    Selector,
    /// The node's name
    Name,
    /// The node's file
    Path,
    /// One JSON object per line
    Json,
}

/// List the nodes a selection selects
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    select: SelectArgs,
    /// Only nodes of these types
    #[arg(long, num_args = 1.., value_name = "TYPE")]
    resource_type: Vec<ResourceType>,
    /// How each node is written
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(crate) fn run(global: &GlobalArgs, args: &LsArgs) -> Result<Outcome, Failure> {
    let project = open::project(global, "list", false)?;
    let types = (!args.resource_type.is_empty()).then_some(args.resource_type.as_slice());
    let selected = project.select(&args.select.taken(), &args.select.exclude, types)?;
    for id in &selected {
        if let Some(node) = project.node(id) {
            print(args.output, id, node.resource_type.as_str(), &node.name, &node.fqn, &node.original_file_path)?;
        } else if let Some(source) = project.source(id) {
            let name = format!("{}.{}", source.source_name, source.name);
            print(args.output, id, "source", &name, &source.fqn, &source.original_file_path)?;
        } else if let Some(exposure) = project.exposures().get(id) {
            print(args.output, id, "exposure", &exposure.name, &exposure.fqn, &exposure.original_file_path)?;
        }
    }
    if selected.is_empty() && !global.quiet {
        err("No nodes selected.");
    }
    Ok(Outcome::Done)
}

fn print(output: Output, id: &str, kind: &str, name: &str, fqn: &[String], path: &str) -> Result<(), Unwritten> {
    match output {
        Output::Name => out(safe_line(name)),
        Output::Path => out(safe_line(path)),
        Output::Json => {
            let node = json!({"unique_id": id, "resource_type": kind, "name": name, "original_file_path": path});
            out_json(&node.to_string())
        }
        Output::Selector => match kind {
            "source" | "exposure" => out(safe_line(&format!("{kind}:{}", fqn.join(".")))),
            _ => out(safe_line(&fqn.join("."))),
        },
    }
}
