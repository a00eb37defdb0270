//! `show`: a look at the rows of a model.

use std::sync::Arc;

use clap::Args;
use wardlake_project::ResourceType;

use super::Outcome;
use crate::{
    args::{GlobalArgs, SelectArgs},
    failure::Failure,
    open,
    rows::{self, OutputArgs},
};

/// Show the first rows of a model, or of a query with Jinja
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// A query instead of a model
    #[arg(long, value_name = "SQL", conflicts_with_all = ["names", "select"])]
    inline: Option<String>,
    /// How many rows
    #[arg(long, default_value_t = 5, value_name = "N")]
    limit: u64,
    /// Read an older epoch
    #[arg(long, value_name = "N")]
    epoch: Option<u64>,
    /// Read what builds wrote but did not publish
    #[arg(long, conflicts_with = "epoch")]
    working: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(global: &GlobalArgs, args: &ShowArgs) -> Result<Outcome, Failure> {
    let project = open::project(global, "show", false)?;
    let workspace = Arc::new(open::quiet_workspace(Arc::clone(&project)).await?);
    let state = open::read_state(&workspace, args.epoch, args.working).await?;
    let session = workspace.engine.session(wardlake_load::local_viewer(), state).await?;
    let mut queries = Vec::new();
    match &args.inline {
        Some(text) => queries.push(wardlake_build::compile_inline(&workspace, &session, text).await?),
        None => {
            let types = [ResourceType::Model, ResourceType::Seed, ResourceType::Snapshot];
            let wanted = args.select.taken();
            let selected = project.select(&wanted, &args.select.exclude, Some(&types))?;
            if wanted.is_empty() || selected.is_empty() {
                let text = "name a model (`wardlake ls` lists them), or give a query with --inline";
                return Err(Failure::Usage(text.to_owned()));
            }
            for node in selected.iter().filter_map(|id| project.node(id)) {
                queries.push(match &node.relation.schema {
                    Some(_) => format!("select * from {}", node.relation),
                    None => wardlake_build::compile(&workspace, &session, &node.unique_id).await?,
                });
            }
        }
    }
    for sql in queries {
        let query = session.query(&format!("select * from (\n{sql}\n) as shown limit {}", args.limit)).await;
        let query = query.map_err(|error| match &args.inline {
            Some(written) => Failure::of_query(error, written, &sql),
            None => error.into(),
        })?;
        rows::write(&query, &args.output).await?;
    }
    Ok(Outcome::Done)
}
