//! `epochs`: what was published when, and going back.

use std::pin::pin;

use clap::{Args, Subcommand};
use futures::TryStreamExt;
use wardlake_storage::{Epoch, Pin};

use super::Outcome;
use crate::{
    args::GlobalArgs,
    failure::Failure,
    open,
    printing::{note, out, out_json},
    rows,
    terminal::counted,
};

/// List, show, compare, pin and roll back what was published
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
    /// Keep an epoch for ever, with all that it shows
    Pin {
        /// The epoch
        number: u64,
        /// What it is kept for
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Let a pinned epoch go as its age says
    Unpin {
        /// The epoch
        number: u64,
    },
}

pub(crate) async fn run(global: &GlobalArgs, args: &EpochsArgs) -> Result<Outcome, Failure> {
    // Of the lake alone: going back is needed most where the project is broken.
    let lake = open::lake(global, "epochs").await?;
    match &args.action {
        Action::List { json } => {
            let pins = lake.pinned_epochs().await?;
            let mut epochs = pin!(lake.epochs().await?);
            while let Some(epoch) = epochs.try_next().await? {
                let pin = pins.get(&epoch.number);
                if *json {
                    out_json(&serde_json::to_string(&Listed { epoch: &epoch, pinned: pin }).map_err(rows::output)?)?;
                } else {
                    let back = epoch.rollback_of.map(|of| format!("  (epoch {of} again)")).unwrap_or_default();
                    let pin = pin.map(pinned).unwrap_or_default();
                    out(format_args!(
                        "{:>6}  {}  {}  {}  run {}{back}{pin}",
                        epoch.number,
                        epoch.published_at.format("%Y-%m-%d %H:%M:%S UTC"),
                        counted(epoch.tables.len() as u64, "table"),
                        counted(epoch.views.len() as u64, "view"),
                        epoch.run_id
                    ))?;
                }
            }
        }
        Action::Show { number } => {
            let epoch = match number {
                Some(number) => Some(lake.epoch(*number).await?),
                None => lake.newest_epoch().await?,
            };
            let epoch =
                epoch.ok_or_else(|| Failure::Usage("nothing is published yet; run `wardlake build`".to_owned()))?;
            let pin = lake.pinned_epochs().await?.get(&epoch.number).map(pinned).unwrap_or_default();
            out(format_args!(
                "epoch {}  {}  run {}{pin}",
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
            let diff = lake.diff(*from, *to).await?;
            out_json(&serde_json::to_string_pretty(&diff).map_err(rows::output)?)?;
        }
        Action::Rollback { number } => {
            let epoch = lake.rollback(*number, &open::run_id(global)).await?;
            note(format_args!("Published epoch {}, which shows what epoch {number} showed.", epoch.number));
        }
        Action::Pin { number, note: text } => {
            lake.pin_epoch(*number, text.clone()).await?;
            note(format_args!("Epoch {number} is kept until `wardlake epochs unpin {number}`."));
        }
        Action::Unpin { number } => match lake.unpin_epoch(*number).await? {
            true => note(format_args!("Epoch {number} goes as its age says.")),
            false => {
                // Of one that there is not it is told that there is none.
                lake.epoch(*number).await?;
                note(format_args!("Epoch {number} was not pinned."));
            }
        },
    }
    Ok(Outcome::Done)
}

/// An epoch of the list, for another program.
#[derive(serde::Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    epoch: &'a Epoch,
    #[serde(skip_serializing_if = "Option::is_none")]
    pinned: Option<&'a Pin>,
}

fn pinned(pin: &Pin) -> String {
    pin.note.as_ref().map_or_else(|| "  (pinned)".to_owned(), |note| format!("  (pinned: {note})"))
}
