//! `ingest`: load the sources.

use std::sync::Arc;

use clap::Args;
use wardlake_load::IngestOptions;

use super::{Outcome, maintain};
use crate::{
    args::{GlobalArgs, SelectArgs},
    failure::Failure,
    open::{self, Opened},
};

/// Load new and changed files of the sources into bronze
#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    #[command(flatten)]
    select: SelectArgs,
    /// Read what was loaded again, from the kept files, as the sources' settings say now; each table is replaced in one commit
    #[arg(long)]
    reload: bool,
}

pub(crate) async fn run(global: &GlobalArgs, args: &IngestArgs) -> Result<Outcome, Failure> {
    let project = open::project(global, "ingest", false)?;
    let opened = Opened::open(global, Arc::clone(&project)).await?;
    opened.workspace.lake.begin_writing();
    let options = IngestOptions {
        select: args.select.taken(),
        exclude: args.select.exclude.clone(),
        threads: opened.threads,
        project_dir: project.dir().to_owned(),
        ready: None,
        reload: args.reload,
    };
    let summary = wardlake_load::ingest(Arc::clone(&opened.workspace), options).await;
    maintain::daily(&opened.workspace).await;
    opened.close().await;
    Ok(if summary?.is_success() { Outcome::Done } else { Outcome::Failed })
}
