//! Work that can wait has threads of its own: however long it thinks, waves and listeners go on. Each kind has its own, too: one that
//! holds a table for the moment of a commit is not to stand behind another's long query. Where the processors are busy, these threads
//! step back.

use std::mem::ManuallyDrop;

use thread_priority::{ThreadPriority, ThreadPriorityValue, set_current_thread_priority};
use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinHandle, JoinSet},
};
use wardlake_engine::THREAD_STACK_BYTES;

use crate::ServeError;

/// Files that work which does one thing after the other reads and writes at once; each takes a thread.
const FILES_AT_ONCE: usize = 32;
/// Threads on which work that does many things at once may wait for files, and for others of them: enough never to wait for each other.
const MANY_AT_ONCE: usize = 512;
/// Of 0 to 99, where others have 50: niceness 9 on Linux, an eighth of a busy processor beside a thread of a wave.
const PRIORITY: u8 = 25;

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
            upkeep: Threads::start("upkeep", 1, FILES_AT_ONCE)?,
            alerts: Threads::start("alerts", 1, FILES_AT_ONCE)?,
            refreshes: Threads::start("refresh", threads, MANY_AT_ONCE)?,
            streams: Threads::start("streams", 1, MANY_AT_ONCE)?,
        })
    }
}

/// The threads of one kind. What still runs at the end is work nobody waits for, and ends with the process: the libraries would take it for
/// a crash if they lost their threads before.
pub(crate) struct Threads(ManuallyDrop<Runtime>);

impl Threads {
    fn start(name: &str, threads: usize, waiting: usize) -> Result<Self, ServeError> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(threads.max(1)).max_blocking_threads(waiting).thread_name(name).enable_all();
        builder.thread_stack_size(THREAD_STACK_BYTES).on_thread_start(step_back);
        let runtime = builder.build().map_err(|source| ServeError::Threads { source })?;
        Ok(Self(ManuallyDrop::new(runtime)))
    }

    pub(crate) fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.0.spawn(work)
    }

    /// Does the work there, for as long as the caller waits for it. None if it died.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let mut only = JoinSet::new();
        only.spawn_on(work, self.0.handle());
        only.join_next().await?.ok()
    }
}

/// Lowers the priority of this thread. Where the system does not allow that, all are equal.
fn step_back() {
    if let Ok(priority) = ThreadPriorityValue::try_from(PRIORITY) {
        let _ = set_current_thread_priority(ThreadPriority::Crossplatform(priority));
    }
}
