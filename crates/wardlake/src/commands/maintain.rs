//! `maintain`: keep the lake in shape without a server.

use std::sync::Arc;

use clap::Args;
use wardlake_load::{MaintainOptions, Ownership, Workspace};
use wardlake_records::UpkeepReport;

use super::Outcome;
use crate::{
    args::GlobalArgs,
    failure::Failure,
    open,
    printing::{note, out},
    terminal::counted,
};

/// Keep the lake in shape: let go what is past its time, merge small files, delete what nobody can read
///
/// A server does this by itself, and a build or ingest once a day. A file goes when an earlier pass, an hour ago at least, saw that nobody
/// needs it.
#[derive(Debug, Args)]
pub(crate) struct MaintainArgs {
    /// Say what would be deleted, and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(global: &GlobalArgs, args: &MaintainArgs) -> Result<Outcome, Failure> {
    let workspace = open::quiet_workspace(open::project(global, "maintain", false)?).await?;
    let owner = Ownership::take(&workspace.lake, None).await?;
    let alone_at = workspace.lake.alone_at();
    let options = MaintainOptions { dry_run: args.dry_run, alone_at, ..MaintainOptions::default() };
    let (report, failures) = wardlake_load::maintain(&workspace, &options).await;
    owner.give_up().await;
    out(format_args!("{}", sentence(&report, args.dry_run)))?;
    for failure in &failures {
        note(format_args!("put off: {failure}"));
    }
    Ok(if failures.is_empty() { Outcome::Done } else { Outcome::Failed })
}

/// The daily pass after a command that wrote, if it is due and no server does it.
pub(crate) async fn daily(workspace: &Arc<Workspace>) {
    match wardlake_load::maintain_if_due(workspace).await {
        Ok(None) => {}
        Ok(Some((report, failures))) => {
            note(format_args!("{}", sentence(&report, false)));
            for failure in failures {
                workspace.events.warn(format!("upkeep was put off: {failure}"));
            }
        }
        Err(error) => workspace.events.warn(format!("upkeep was put off: {error}")),
    }
}

fn sentence(report: &UpkeepReport, is_dry: bool) -> String {
    let megabytes = report.bytes_deleted as f64 / f64::from(1 << 20);
    let verb = if is_dry { "Would delete" } else { "Deleted" };
    let expired: Vec<String> = report.expired.iter().map(|(table, rows)| format!("{rows} of {table}")).collect();
    let expired = match expired.is_empty() {
        true => String::new(),
        false => format!("; rows past their retention: {}", expired.join(", ")),
    };
    format!(
        "{verb} {} ({megabytes:.1} MB){expired}; forgot {}; merged the small files of {}.",
        counted(report.files_deleted as u64, "file"),
        counted(report.epochs_forgotten as u64, "epoch"),
        counted(report.merged.len() as u64, "table")
    )
}
