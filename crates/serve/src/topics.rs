//! The logs that are followed: one loop per table, from whoever keeps the log to bronze. The lake says where to go on; the log's keeper is
//! told afterwards.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};
use wardlake_connect::source::{Answer, Follow, Follower, Monitor, Part, PositionError};
use wardlake_core::TableName;
use wardlake_load::{FeedOptions, LoadError, Workspace, load_topic, topic_position};

use crate::Server;

/// After a failed commit the same records are tried again so much later.
const PAUSE: Duration = Duration::from_millis(500);

/// A table's log, about to be followed.
pub(crate) struct Topics {
    options: FeedOptions,
    log: Box<dyn Follow>,
}

impl Topics {
    /// Prepares a table that follows a log; nobody is contacted yet. Files that its settings name are relative to `folder`.
    pub(crate) fn new(workspace: &Arc<Workspace>, options: FeedOptions, folder: &Path) -> Option<Self> {
        let (lake, wanted) = (Arc::clone(workspace), options.clone());
        let position = move |part: Part| -> Answer<'static, Result<Option<i64>, PositionError>> {
            let (lake, wanted) = (Arc::clone(&lake), wanted.clone());
            Box::pin(async move { topic_position(&lake, &wanted, &part).await.map_err(PositionError::from) })
        };
        let follower =
            Follower { label: options.label.clone(), folder: folder.to_owned(), position: Box::new(position) };
        let log = options.table.log()?.follow(follower);
        Some(Self { options, log })
    }

    pub(crate) fn label(&self) -> &str {
        &self.options.label
    }

    pub(crate) fn monitor(&self) -> Box<dyn Monitor> {
        self.log.monitor()
    }

    /// Loads what the log brings until the server stops.
    pub(crate) async fn run(
        mut self,
        server: Arc<Server>,
        moved: mpsc::UnboundedSender<(TableName, u64)>,
        mut stopped: watch::Receiver<bool>,
    ) {
        while !*stopped.borrow() {
            let next = async {
                server.readiness.room().await;
                self.log.read().await
            };
            let read = tokio::select! {
                read = next => read,
                _ = stopped.wait_for(|stopped| *stopped) => break,
            };
            let stretches = match read {
                Ok(stretches) => stretches,
                Err(error) => {
                    server.workspace.events.warn(format!("{error}; its topics are not followed"));
                    return;
                }
            };
            loop {
                match load_topic(&server.workspace, &self.options, &stretches).await {
                    Ok(loaded) => {
                        loaded.again.iter().for_each(|part| self.log.ask_again(part));
                        self.log.taken(&loaded.positions);
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
        if let Err(error) = self.log.close().await {
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
