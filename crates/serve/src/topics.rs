//! The Kafka sources: one loop per table, from the broker to bronze. The lake says where to go on; the broker is told afterwards.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};
use wardlake_connect::{KafkaFeed, kafka::KafkaMonitor};
use wardlake_core::TableName;
use wardlake_load::{FeedOptions, LoadError, Workspace, load_topic, topic_position};

use crate::Server;

/// After a failed commit the same records are tried again so much later.
const PAUSE: Duration = Duration::from_millis(500);

/// A table's topics, about to be followed.
pub(crate) struct Topics {
    options: FeedOptions,
    feed: KafkaFeed,
}

impl Topics {
    /// Prepares a table with a `kafka` block; nobody is contacted yet. Files that the block names are relative to `folder`.
    pub(crate) fn new(workspace: &Arc<Workspace>, options: FeedOptions, folder: &Path) -> Option<Self> {
        let mut settings = options.table.kafka.clone()?;
        settings.ca_file = settings.ca_file.map(|file| folder.join(file));
        let (lake, wanted) = (Arc::clone(workspace), options.clone());
        let position = move |topic: String, partition: i32| {
            let (lake, wanted) = (Arc::clone(&lake), wanted.clone());
            async move { Ok(topic_position(&lake, &wanted, &topic, partition).await.map_err(Box::new)?) }
        };
        let feed = KafkaFeed::new(settings, &options.label, position);
        Some(Self { options, feed })
    }

    pub(crate) fn label(&self) -> &str {
        &self.options.label
    }

    pub(crate) fn monitor(&self) -> KafkaMonitor {
        self.feed.monitor()
    }

    /// Loads what the topics bring until the server stops.
    pub(crate) async fn run(
        mut self,
        server: Arc<Server>,
        moved: mpsc::UnboundedSender<(TableName, u64)>,
        mut stopped: watch::Receiver<bool>,
    ) {
        while !*stopped.borrow() {
            let batch = tokio::select! {
                batch = self.feed.next() => batch,
                _ = stopped.wait_for(|stopped| *stopped) => break,
            };
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    server.workspace.events.warn(format!("{error}; its topics are not followed"));
                    return;
                }
            };
            loop {
                match load_topic(&server.workspace, &self.options, &batch).await {
                    Ok(loaded) => {
                        loaded.again.iter().for_each(|(topic, partition)| self.feed.ask_again(topic, *partition));
                        self.feed.commit(&loaded.positions);
                        if let Some(version) = loaded.version {
                            // The waves have ended when nobody receives: the next start finds what was loaded.
                            let _ = moved.send((self.options.name.clone(), version));
                        }
                        break;
                    }
                    Err(error) => {
                        self.tell(&server, &error);
                        tokio::select! {
                            () = tokio::time::sleep(PAUSE) => {}
                            _ = stopped.wait_for(|stopped| *stopped) => break,
                        }
                    }
                }
            }
        }
        let label = self.options.label.clone();
        if let Err(error) = self.feed.close().await {
            server.workspace.events.warn(format!("{label}: {error}"));
        }
    }

    fn tell(&self, server: &Server, error: &LoadError) {
        server
            .workspace
            .events
            .warn(format!("{}: records could not be loaded and are tried again: {error}", self.options.label));
    }
}
