//! Work that can wait has threads of its own: however long it thinks, waves and listeners go on. Each kind has its own, too: one that
//! holds a table for the moment of a commit is not to stand behind another's long query.

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

use crate::ServeError;

/// Of files that one kind of work reads and writes at once; each takes a thread.
const FILES_AT_ONCE: usize = 32;

/// The kinds of work that can wait.
pub(crate) struct Background {
    /// Keeping tables in shape.
    pub(crate) upkeep: Threads,
    /// Asking alerts.
    pub(crate) alerts: Threads,
    /// Rebuilding the models that do not live with waves.
    pub(crate) refreshes: Threads,
    /// Telling followers what is new.
    pub(crate) streams: Threads,
}

impl Background {
    /// `threads` is how many nodes a refresh builds at once.
    pub(crate) fn start(threads: usize) -> Result<Self, ServeError> {
        Ok(Self {
            upkeep: Threads::start("upkeep", 1)?,
            alerts: Threads::start("alerts", 1)?,
            refreshes: Threads::start("refresh", threads)?,
            streams: Threads::start("streams", 1)?,
        })
    }
}

/// The threads of one kind.
pub(crate) struct Threads(Option<Runtime>);

impl Threads {
    fn start(name: &str, threads: usize) -> Result<Self, ServeError> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(threads.max(1)).max_blocking_threads(FILES_AT_ONCE).thread_name(name).enable_all();
        Ok(Self(Some(builder.build().map_err(|source| ServeError::Threads { source })?)))
    }

    pub(crate) fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        match &self.0 {
            Some(runtime) => runtime.spawn(work),
            None => tokio::spawn(work),
        }
    }
}

impl Drop for Threads {
    /// What still runs then is work nobody waits for.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
