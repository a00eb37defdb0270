//! The source tables that are fed while the server runs: by deliveries, each with its open feed, and by logs that are followed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::Notify;
use wardlake_connect::source::{Messages, Push, Requests};
use wardlake_core::did_you_mean;
use wardlake_load::{Feed, FeedOptions, LoadError, SourceTable, Workspace, source_tables};

use crate::{ServeError, ServeOptions};

/// Keys of deliveries are remembered for two days at least.
pub const KEY_WINDOW: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// The tables that are fed while the server runs.
pub(crate) struct Sources {
    /// Those that take deliveries, by `<source>.<table>`.
    feeds: BTreeMap<String, Arc<Feed>>,
    /// Those that follow a log.
    topics: Vec<FeedOptions>,
}

fn takes_deliveries(source: &SourceTable) -> bool {
    source.table.pushes().next().is_some()
}

/// Says before anything is opened that what is delivered has no place, if so.
pub(crate) fn require_journal(workspace: &Workspace, settings: &ServeOptions) -> Result<(), ServeError> {
    if settings.journal.is_some() || workspace.lake.local_path().is_some() {
        return Ok(());
    }
    let sources = source_tables(workspace, &settings.project_dir)?;
    let tables: Vec<String> = sources.into_iter().filter(takes_deliveries).map(|source| source.label).collect();
    match tables.is_empty() {
        true => Ok(()),
        false => Err(LoadError::NoJournal { tables }.into()),
    }
}

impl Sources {
    /// Opens the journal of every table to which deliveries come; a table without rows gets its declared columns.
    pub(crate) async fn open(
        workspace: &Workspace,
        settings: &ServeOptions,
        news: &Arc<Notify>,
    ) -> Result<Self, ServeError> {
        let journal = settings.journal.as_deref();
        let (mut feeds, mut topics) = (BTreeMap::new(), Vec::new());
        for mut source in source_tables(workspace, &settings.project_dir)? {
            source.create(workspace).await?;
            let takes_deliveries = takes_deliveries(&source);
            let options = FeedOptions {
                label: source.label.clone(),
                name: source.name.clone(),
                table: source.table.clone(),
                columns: source.columns.clone(),
                max_waiting_bytes: settings.max_waiting_bytes,
                key_window: KEY_WINDOW,
            };
            if options.table.log().is_some() {
                topics.push(options.clone());
            }
            if takes_deliveries {
                let feed = Feed::open(workspace, options, journal, Arc::clone(news)).await?;
                feeds.insert(source.label, Arc::new(feed));
            }
        }
        Ok(Self { feeds, topics })
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = &FeedOptions> {
        self.topics.iter()
    }

    pub(crate) fn feeds(&self) -> impl Iterator<Item = &Arc<Feed>> {
        self.feeds.values()
    }

    /// The largest body or message in bytes that a table takes.
    pub(crate) fn largest_delivery(&self) -> u64 {
        let pushes = self.feeds().flat_map(|feed| feed.table().pushes());
        pushes.map(|push| push.max_bytes()).max().unwrap_or(0)
    }

    /// The feed of a table that takes requests, and what they have to keep to.
    pub(crate) fn for_requests(&self, label: &str) -> Option<(&Arc<Feed>, Requests<'_>)> {
        let feed = self.feeds.get(label)?;
        let requests = feed.table().pushes().find_map(|push| match push {
            Push::Requests(requests) => Some(requests),
            Push::Messages(_) => None,
        });
        Some((feed, requests?))
    }

    /// The feeds of the tables that take messages, and what those have to keep to.
    pub(crate) fn for_messages(&self) -> impl Iterator<Item = (&Arc<Feed>, Messages<'_>)> {
        self.feeds().flat_map(|feed| {
            let messages = feed.table().pushes().filter_map(|push| match push {
                Push::Messages(messages) => Some(messages),
                Push::Requests(_) => None,
            });
            messages.map(move |messages| (feed, messages))
        })
    }

    /// The table that was most likely meant.
    pub(crate) fn nearest(&self, label: &str) -> Option<&str> {
        let names = || self.feeds.keys().map(String::as_str);
        did_you_mean(label, names()).or_else(|| names().next())
    }
}
