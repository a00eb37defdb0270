//! The source tables that take deliveries, each with its open feed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::Notify;
use wardlake_core::did_you_mean;
use wardlake_runner::{Feed, FeedOptions, Workspace, source_tables};

use crate::{ServeError, ServeOptions};

/// Keys of deliveries are remembered for two days at least.
const KEY_WINDOW: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// Feeds by `<source>.<table>`.
pub(crate) struct Sources {
    feeds: BTreeMap<String, Arc<Feed>>,
}

impl Sources {
    /// Opens the journal of every table with an `http` or `mllp` block; a table without rows gets its declared columns.
    pub(crate) async fn open(
        workspace: &Workspace,
        options: &ServeOptions,
        news: &Arc<Notify>,
    ) -> Result<Self, ServeError> {
        let mut feeds = BTreeMap::new();
        for source in source_tables(workspace, &options.project_dir)? {
            source.create(workspace).await?;
            if source.table.http.is_none() && source.table.mllp.is_none() {
                continue;
            }
            let feed = FeedOptions {
                label: source.label.clone(),
                name: source.name.clone(),
                table: source.table.clone(),
                columns: source.columns.clone(),
                max_waiting_bytes: options.max_waiting_bytes,
                key_window: KEY_WINDOW,
            };
            let feed = Feed::open(workspace, feed, options.intake.as_deref(), Arc::clone(news)).await?;
            feeds.insert(source.label, Arc::new(feed));
        }
        Ok(Self { feeds })
    }

    pub(crate) fn feeds(&self) -> impl Iterator<Item = &Arc<Feed>> {
        self.feeds.values()
    }

    pub(crate) fn feed(&self, label: &str) -> Option<&Arc<Feed>> {
        self.feeds.get(label)
    }

    /// The table that was most likely meant.
    pub(crate) fn nearest(&self, label: &str) -> Option<&str> {
        let names = || self.feeds.keys().map(String::as_str);
        did_you_mean(label, names()).or_else(|| names().next())
    }
}
