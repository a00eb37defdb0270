//! Which feeds there are, for whoever names one.

use wardlake_core::did_you_mean;

use crate::{
    Workspace,
    error::LoadError,
    ingest::source_tables,
    intake::{ReplayOptions, set_aside},
};

/// An error if no source table of that name is fed while a server runs and nothing is set aside of it either: a feed may have gone from
/// the project, and what was delivered to it is still there.
pub async fn require_feed(workspace: &Workspace, feed: &str) -> Result<(), LoadError> {
    let fed = source_tables(workspace, workspace.project.dir())?;
    let fed = fed.into_iter().filter(|source| source.table.live_kinds().next().is_some());
    let known: Vec<String> = fed.map(|source| source.label).collect();
    if known.iter().any(|known| known == feed) {
        return Ok(());
    }
    let of_it = ReplayOptions { feed: Some(feed.to_owned()), numbers: Vec::new() };
    if !set_aside(workspace, &of_it).await?.is_empty() {
        return Ok(());
    }
    let nearest = did_you_mean(feed, known.iter().map(String::as_str)).map(str::to_owned);
    Err(LoadError::NoFeed { feed: feed.to_owned(), nearest, known })
}
