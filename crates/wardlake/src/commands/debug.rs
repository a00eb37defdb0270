//! `debug`: does everything a command needs work here?

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde_json::Value as Json;
use wardlake_engine::{ReadState, functions};
use wardlake_load::{Ownership, Workspace};
use wardlake_serve::InForce;

use super::Outcome;
use crate::{
    args::GlobalArgs,
    failure::Failure,
    limits::{self, Facts},
    open,
    printing::{out, out_json},
    rows,
    terminal::counted,
};

/// Check the project, the lake and the engine, and say where they are
#[derive(Debug, Args)]
pub(crate) struct DebugArgs {
    /// Show every time-out, bound and retention instead: what holds here, what holds if nothing is said, and where it is said
    #[arg(long)]
    limits: bool,
    /// With --limits: one JSON object per line
    #[arg(long, requires = "limits")]
    json: bool,
}

pub(crate) async fn run(global: &GlobalArgs, args: &DebugArgs) -> Result<Outcome, Failure> {
    if args.limits {
        return print_limits(global, args.json).await;
    }
    out(format_args!("wardlake {} ({})", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH))?;
    let project = open::project(global, "debug", false)?;
    out(format_args!("project   {} [OK]", project.dir().display()))?;
    let target = project.target();
    let threads = counted(target.threads as u64, "thread");
    out(format_args!("target    {} (schema {}, {threads})", target.name, target.schema))?;
    let workspace = open::quiet_workspace(Arc::clone(&project)).await?;
    let probe = "_state/probe".into();
    workspace.lake.put(&probe, Utc::now().to_rfc3339()).await?;
    out(format_args!("lake      {} [OK, writable]", workspace.lake.url()))?;
    match workspace.lake.newest_epoch().await? {
        Some(epoch) => {
            out(format_args!(
                "epoch     {} ({}, {})",
                epoch.number,
                counted(epoch.tables.len() as u64, "table"),
                counted(epoch.views.len() as u64, "view")
            ))?;
        }
        None => out("epoch     none published yet")?,
    }
    print_feeds(&workspace).await?;
    let session = workspace.engine.session(wardlake_load::local_viewer(), ReadState::Working).await?;
    session.collect("select 1 as one").await?;
    let limit = workspace.engine.options().memory_limit_bytes >> 20;
    out(format_args!(
        "engine    [OK] ({limit} MiB, {}, {} functions of its own)",
        counted(workspace.engine.options().threads as u64, "thread"),
        functions::catalogue().len()
    ))?;
    Ok(Outcome::Done)
}

/// What a server that has the lake was started with stands in the lake; flags of one that is to be started are its own affair.
async fn print_limits(global: &GlobalArgs, json: bool) -> Result<Outcome, Failure> {
    let workspace = open::quiet_workspace(open::project(global, "debug", false)?).await?;
    let sources = wardlake_load::source_tables(&workspace, workspace.project.dir())?;
    let server = in_force(&workspace).await?;
    let (target, engine) = (workspace.project.target(), workspace.engine.options());
    let rows = limits::rows(&Facts { target, engine, sources: &sources, server });
    if json {
        for row in &rows {
            out_json(&serde_json::to_string(row).map_err(rows::output)?)?;
        }
        return Ok(Outcome::Done);
    }
    let names = ["what", "in force", "default", "set by"];
    let lines = rows.iter().map(|row| [&*row.what, &*row.value, &*row.default, &*row.set_by]);
    let lines: Vec<[&str; 4]> = std::iter::once(names).chain(lines).collect();
    let width = |place: usize| lines.iter().map(|line| line[place].chars().count()).max().unwrap_or(0);
    let (first, second, third) = (width(0), width(1), width(2));
    for [what, value, default, set_by] in &lines {
        out(format_args!("{what:<first$}  {value:<second$}  {default:<third$}  {set_by}"))?;
    }
    Ok(Outcome::Done)
}

/// What the server that has the lake goes by. A lake in a bucket has no lock to look at: there the server's last word has to be fresh.
async fn in_force(workspace: &Workspace) -> Result<Option<InForce>, Failure> {
    let (lake, kept) = (&workspace.lake, kept_state(workspace).await?);
    let is_served = match lake.local_path() {
        Some(_) => Ownership::holder(lake)?.is_some(),
        None => {
            let at = kept["at"].as_str().and_then(|at| DateTime::parse_from_rfc3339(at).ok());
            at.is_some_and(|at| (Utc::now() - at.to_utc()).abs() < TimeDelta::seconds(30))
        }
    };
    Ok(serde_json::from_value(kept["limits"].clone()).ok().filter(|_| is_served))
}

/// What a server last said of itself; null if none ever did.
async fn kept_state(workspace: &Workspace) -> Result<Json, Failure> {
    let kept = workspace.lake.get(&wardlake_serve::KEPT_STATUS.into()).await?;
    Ok(kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
}

/// Every source table that is fed while a server runs: how, and how it stood when a server last said so.
async fn print_feeds(workspace: &Workspace) -> Result<(), Failure> {
    let kept = kept_state(workspace).await?;
    for source in wardlake_load::source_tables(workspace, workspace.project.dir())? {
        let ways: Vec<&str> = source.table.live_kinds().collect();
        if ways.is_empty() {
            continue;
        }
        let feeds = kept["status"]["feeds"].as_array().into_iter().flatten();
        let feed = feeds.into_iter().find(|feed| feed["table"] == source.label.as_str()).unwrap_or(&Json::Null);
        let topics = &kept["status"]["topics"][&source.label];
        let mut parts = vec![ways.join(", ")];
        if let (Some(accepted), Some(shown)) = (feed["rows_accepted"].as_u64(), feed["rows_shown"].as_u64()) {
            parts.push(format!("{} accepted, {} behind", counted(accepted, "row"), accepted.saturating_sub(shown)));
        }
        if let Some(lag) = topics["lag"].as_u64() {
            parts.push(format!("{} behind", counted(lag, "record")));
        }
        let errors = [&feed["last_error"], &topics["last_error"]["message"]];
        parts.extend(errors.iter().filter_map(|error| error.as_str()).map(|error| format!("last error: {error}")));
        match kept["at"].as_str() {
            Some(at) if parts.len() > 1 => parts.push(format!("as of {at}")),
            _ => {}
        }
        out(format_args!("feed      {} ({})", source.label, parts.join("; ")))?;
    }
    Ok(())
}
