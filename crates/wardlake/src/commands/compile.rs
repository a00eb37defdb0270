//! `compile`: the SQL that would run.

use std::sync::Arc;

use clap::Args;
use wardlake_engine::ReadState;
use wardlake_project::ResourceType;

use super::Outcome;
use crate::{
    args::{GlobalArgs, SelectArgs},
    artifacts,
    failure::Failure,
    open,
    printing::{note, out_code},
};

/// Write the SQL of the selected nodes to target/compiled, and print it if it is one
#[derive(Debug, Args)]
pub(crate) struct CompileArgs {
    #[command(flatten)]
    select: SelectArgs,
    /// A query to compile instead, with its Jinja
    #[arg(long, value_name = "SQL", conflicts_with_all = ["names", "select"])]
    inline: Option<String>,
}

pub(crate) async fn run(global: &GlobalArgs, args: &CompileArgs) -> Result<Outcome, Failure> {
    let project = open::project(global, "compile", false)?;
    let workspace = Arc::new(open::quiet_workspace(Arc::clone(&project)).await?);
    let session = workspace.engine.session(wardlake_load::local_viewer(), ReadState::Working).await?;
    if let Some(text) = &args.inline {
        out_code(&wardlake_build::compile_inline(&workspace, &session, text).await?)?;
        return Ok(Outcome::Done);
    }
    let types = [ResourceType::Model, ResourceType::Snapshot, ResourceType::Test, ResourceType::Analysis];
    let selected = project.select(&args.select.taken(), &args.select.exclude, Some(&types))?;
    for id in &selected {
        let Some(node) = project.node(id) else { continue };
        let sql = wardlake_build::compile(&workspace, &session, id).await?;
        let path = project.target_dir().join("compiled").join(&node.package).join(&node.original_file_path);
        let path = if node.resource_type == ResourceType::Test { path.join(&node.path) } else { path };
        artifacts::write_text(&path, &sql)?;
        if selected.len() == 1 {
            out_code(&sql)?;
        }
    }
    artifacts::write_manifest(&project)?;
    if selected.len() != 1 && !global.quiet {
        let nodes = crate::terminal::counted(selected.len() as u64, "node");
        note(format_args!("Compiled {nodes} to {}.", project.target_dir().display()));
    }
    Ok(Outcome::Done)
}
