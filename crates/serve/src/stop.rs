//! How a server ends: it says that it will, closes its doors, and finishes what was accepted. No client and no work that does not end holds
//! that up for longer than [`STOP_WITHIN`]: what is left then is as after a crash, and the journal has what was acknowledged.

use std::time::Duration;

use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout_at},
};

use crate::{
    ServeError, Server,
    limits::{STOP_WITHIN, WAY_OUT},
};

/// What runs, in the order in which it ends.
pub(crate) struct Parts {
    /// Closes the doors.
    pub(crate) closing: watch::Sender<bool>,
    /// The listeners, with their connections.
    pub(crate) doors: JoinSet<()>,
    /// Stops everything else, which goes on until nothing more can come in.
    pub(crate) stopping: watch::Sender<bool>,
    pub(crate) conversations: JoinSet<()>,
    pub(crate) alarms: JoinHandle<()>,
    pub(crate) work: JoinHandle<Result<(), ServeError>>,
}

impl Parts {
    /// Ends them. Until `drain` is over everything goes on, so that who sends here can turn to another server.
    pub(crate) async fn end(mut self, server: &Server, drain: Duration) -> Result<(), ServeError> {
        server.readiness.note_stop();
        let by = Instant::now() + drain + (STOP_WITHIN - WAY_OUT);
        sleep(drain).await;
        // No receiver means that everything has ended by itself.
        let _ = self.closing.send(true);
        let is_closed = all_ended(&mut self.doors, by).await?;
        let _ = self.stopping.send(true);
        let is_quiet = all_ended(&mut self.conversations, by).await?;
        let alarms = ended(self.alarms, by).await?;
        let work = ended(self.work, by).await?;
        if !is_closed || !is_quiet || alarms.is_none() || work.is_none() {
            let text = "the stop did not wait for work that takes longer; what was accepted and is not loaded is in the \
                        journal, and the next start loads it";
            server.workspace.events.warn(text);
        }
        work.unwrap_or(Ok(()))
    }
}

/// Waits for tasks until that moment, then stops them; whether they had ended.
async fn all_ended(tasks: &mut JoinSet<()>, by: Instant) -> Result<bool, ServeError> {
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(ServeError::task)?;
        }
        Ok::<(), ServeError>(())
    };
    let waited = timeout_at(by, all).await;
    match waited {
        Ok(ended) => ended.map(|()| true),
        Err(_) => {
            tasks.abort_all();
            Ok(false)
        }
    }
}

/// Waits for a task until that moment, then stops it; what it came to, if it had ended.
async fn ended<T>(mut task: JoinHandle<T>, by: Instant) -> Result<Option<T>, ServeError> {
    match timeout_at(by, &mut task).await {
        Ok(ended) => ended.map(Some).map_err(ServeError::task),
        Err(_) => {
            task.abort();
            Ok(None)
        }
    }
}
