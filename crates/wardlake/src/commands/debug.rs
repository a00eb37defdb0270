//! `debug`: does everything a command needs work here?

use std::sync::Arc;

use clap::Args;
use serde_json::Value as Json;
use wardlake_engine::{ReadState, functions};
use wardlake_load::Workspace;

use super::Outcome;
use crate::{args::GlobalArgs, failure::Failure, open, printing::out};

/// Check the project, the lake and the engine, and say where they are
#[derive(Debug, Args)]
pub(crate) struct DebugArgs {}

pub(crate) async fn run(global: &GlobalArgs, _: &DebugArgs) -> Result<Outcome, Failure> {
    out(format_args!("wardlake {} ({})", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH))?;
    let project = open::project(global, "debug", false)?;
    out(format_args!("project   {} [OK]", project.dir().display()))?;
    let target = project.target();
    out(format_args!("target    {} (schema {}, {} threads)", target.name, target.schema, target.threads))?;
    let workspace = open::quiet_workspace(Arc::clone(&project)).await?;
    let probe = "_state/probe".into();
    workspace.lake.put(&probe, chrono::Utc::now().to_rfc3339()).await?;
    out(format_args!("lake      {} [OK, writable]", workspace.lake.url()))?;
    match workspace.lake.newest_epoch().await? {
        Some(epoch) => {
            out(format_args!(
                "epoch     {} ({} tables, {} views)",
                epoch.number,
                epoch.tables.len(),
                epoch.views.len()
            ))?;
        }
        None => out("epoch     none published yet")?,
    }
    print_feeds(&workspace).await?;
    let session = workspace.engine.session(wardlake_load::local_viewer(), ReadState::Working).await?;
    session.collect("select 1 as one").await?;
    let limit = workspace.engine.options().memory_limit_bytes >> 20;
    out(format_args!(
        "engine    [OK] ({limit} MiB, {} threads, {} functions of its own)",
        workspace.engine.options().threads,
        functions::catalogue().len()
    ))?;
    Ok(Outcome::Done)
}

/// Every source table that is fed while a server runs: how, and how it stood when a server last said so.
async fn print_feeds(workspace: &Workspace) -> Result<(), Failure> {
    let kept = workspace.lake.get(&wardlake_serve::KEPT_STATUS.into()).await?;
    // What another version kept is as good as nothing: the feeds are listed without how they stood.
    let kept: Json = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
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
            parts.push(format!("{accepted} rows accepted, {} behind", accepted.saturating_sub(shown)));
        }
        if let Some(lag) = topics["lag"].as_u64() {
            parts.push(format!("{lag} records behind"));
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
