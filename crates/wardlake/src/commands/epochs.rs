//! `epochs`: what was published when, and going back.

use clap::{Args, Subcommand};

use super::Outcome;
use crate::{args::GlobalArgs, failure::Failure, open};

/// List, show, compare and roll back what was published
#[derive(Debug, Args)]
pub(crate) struct EpochsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Every epoch, newest first
    List {
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// The tables and views of one epoch
    Show {
        /// The epoch; the newest if none is named
        number: Option<u64>,
    },
    /// What changed from one epoch to another
    Diff {
        /// The older one
        from: u64,
        /// The newer one
        to: u64,
    },
    /// Publish an older epoch again
    Rollback {
        /// The epoch to go back to
        number: u64,
    },
}

pub(crate) async fn run(global: &GlobalArgs, args: &EpochsArgs) -> Result<Outcome, Failure> {
    let project = open::project(global, "epochs", false)?;
    let workspace = open::quiet_workspace(project).await?;
    let lake = &workspace.lake;
    match args.action {
        Action::List { json } => {
            for epoch in lake.epochs().await?.iter().rev() {
                if json {
                    println!("{}", serde_json::to_string(epoch).map_err(|error| Failure::Output(error.to_string()))?);
                } else {
                    let back = epoch.rollback_of.map(|of| format!("  (epoch {of} again)")).unwrap_or_default();
                    println!(
                        "{:>6}  {}  {} tables  {} views  run {}{back}",
                        epoch.number,
                        epoch.published_at.format("%Y-%m-%d %H:%M:%S UTC"),
                        epoch.tables.len(),
                        epoch.views.len(),
                        epoch.run_id
                    );
                }
            }
        }
        Action::Show { number } => {
            let epoch = match number {
                Some(number) => Some(lake.epoch(number).await?),
                None => lake.newest_epoch().await?,
            };
            let epoch =
                epoch.ok_or_else(|| Failure::Usage("nothing is published yet; run `wardlake build`".to_owned()))?;
            println!(
                "epoch {}  {}  run {}",
                epoch.number,
                epoch.published_at.format("%Y-%m-%d %H:%M:%S UTC"),
                epoch.run_id
            );
            for (name, version) in &epoch.tables {
                println!("  table {name} @ {version}");
            }
            for name in epoch.views.keys() {
                println!("  view  {name}");
            }
        }
        Action::Diff { from, to } => {
            let diff = lake.diff(from, to).await?;
            println!("{}", serde_json::to_string_pretty(&diff).map_err(|error| Failure::Output(error.to_string()))?);
        }
        Action::Rollback { number } => {
            let epoch = lake.rollback(number, &workspace.run_id).await?;
            println!("Published epoch {}, which shows what epoch {number} showed.", epoch.number);
        }
    }
    Ok(Outcome::Done)
}
