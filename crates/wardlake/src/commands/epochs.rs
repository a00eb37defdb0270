//! `epochs`: what was published when, and going back.

use std::pin::pin;

use clap::{Args, Subcommand};
use futures::TryStreamExt;

use super::Outcome;
use crate::{
    args::GlobalArgs,
    failure::Failure,
    open,
    printing::{note, out, out_json},
    rows,
};

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
    // Of the lake alone: going back is needed most where the project is broken.
    let lake = open::lake(global, "epochs").await?;
    match args.action {
        Action::List { json } => {
            let mut epochs = pin!(lake.epochs().await?);
            while let Some(epoch) = epochs.try_next().await? {
                if json {
                    out_json(&serde_json::to_string(&epoch).map_err(rows::output)?)?;
                } else {
                    let back = epoch.rollback_of.map(|of| format!("  (epoch {of} again)")).unwrap_or_default();
                    out(format_args!(
                        "{:>6}  {}  {} tables  {} views  run {}{back}",
                        epoch.number,
                        epoch.published_at.format("%Y-%m-%d %H:%M:%S UTC"),
                        epoch.tables.len(),
                        epoch.views.len(),
                        epoch.run_id
                    ))?;
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
            out(format_args!(
                "epoch {}  {}  run {}",
                epoch.number,
                epoch.published_at.format("%Y-%m-%d %H:%M:%S UTC"),
                epoch.run_id
            ))?;
            for (name, version) in &epoch.tables {
                out(format_args!("  table {name} @ {version}"))?;
            }
            for name in epoch.views.keys() {
                out(format_args!("  view  {name}"))?;
            }
        }
        Action::Diff { from, to } => {
            let diff = lake.diff(from, to).await?;
            out_json(&serde_json::to_string_pretty(&diff).map_err(rows::output)?)?;
        }
        Action::Rollback { number } => {
            let epoch = lake.rollback(number, &open::run_id(global)).await?;
            note(format_args!("Published epoch {}, which shows what epoch {number} showed.", epoch.number));
        }
    }
    Ok(Outcome::Done)
}
