//! The loop that keeps models fresh: load what was accepted, take it through the graph, say which epoch shows it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::future::join_all;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use wardlake_build::{BuildError, Built, Live, Pace, Refresher, StoppedModel};
use wardlake_core::TableName;
use wardlake_load::{Feed, LoadError, Upkeep};
use wardlake_records::RunSummary;
use wardlake_storage::StorageError;

use crate::Server;

/// Without news the loop looks around so often.
const IDLE: Duration = Duration::from_secs(30);
/// What takes longer than this is loaded beside: senders are not to wait for models.
const LOAD_BESIDE: Duration = Duration::from_secs(1);
/// Between two rounds of upkeep, and of checkpoints.
pub const TIDY_EVERY: Duration = Duration::from_secs(20);
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);
/// A stop waits so long for what was accepted to be loaded; the rest is in the journal. Well within [`crate::STOP_WITHIN`].
pub const DRAIN: Duration = Duration::from_secs(12);

/// How the waves go, for the status page.
#[derive(Debug, Default)]
pub(crate) struct Progress(Mutex<WaveStatus>);

/// How the waves go.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(crate) struct WaveStatus {
    /// Waves since the start.
    pub(crate) waves: u64,
    /// When the last one ended.
    pub(crate) last_wave_at: Option<DateTime<Utc>>,
    /// How long it took.
    pub(crate) last_wave_ms: Option<u64>,
    /// When the models that do not live with waves were last refreshed.
    pub(crate) last_refresh_at: Option<DateTime<Utc>>,
    /// When the pass over the whole lake began that ended last: what nobody reads any more was deleted.
    pub(crate) last_maintained_at: Option<DateTime<Utc>>,
    /// What failed last, and is not mended since.
    pub(crate) last_error: Option<String>,
    /// Models that stand still until they go through.
    pub(crate) stopped_models: Vec<StoppedModel>,
}

impl Progress {
    pub(crate) fn read(&self) -> WaveStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn write(&self, change: impl FnOnce(&mut WaveStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The way from the journals to bronze, each table at its own pace: a table that cannot be loaded holds up no other.
struct Loads {
    server: Arc<Server>,
    /// Tables whose last load failed, by `<source>.<table>`.
    paused: BTreeMap<String, Pace>,
    /// What failed in the last round.
    failures: Vec<String>,
    /// Tables that were loaded since somebody asked.
    moved: BTreeMap<TableName, u64>,
}

impl Loads {
    fn is_due(&self, feed: &Feed) -> bool {
        self.paused.get(feed.label()).is_none_or(|pace| pace.due() <= std::time::Instant::now())
    }

    /// Loads once from every table that is due.
    async fn round(&mut self) {
        let server = Arc::clone(&self.server);
        let feeds = server.sources.feeds().filter(|feed| self.is_due(feed));
        let workspace = &server.workspace;
        let loads: Vec<_> = feeds.map(|feed| async move { (feed, feed.load(workspace).await) }).collect();
        self.failures.clear();
        for (feed, loaded) in join_all(loads).await {
            match loaded {
                Ok(version) => {
                    self.paused.remove(feed.label());
                    server.readiness.note_load(feed.label(), None);
                    self.moved.extend(version.map(|version| (feed.table_name().clone(), version)));
                }
                Err(error) => {
                    if matches!(error, LoadError::Storage(StorageError::LedgerMoved { .. })) {
                        // Only a server that starts anew reads where the table stands now.
                        server.overtaken.notify_one();
                    }
                    let now = std::time::Instant::now();
                    let pace = self.paused.get(feed.label());
                    let pace = pace.map_or_else(|| Pace::after_failure(now), |pace| pace.slower(now));
                    self.paused.insert(feed.label().to_owned(), pace);
                    server.readiness.note_load(feed.label(), Some(&error));
                    self.failures.push(format!("{}: {error}", feed.label()));
                }
            }
        }
        if !self.failures.is_empty() {
            let failures = self.failures.join("; ");
            server
                .workspace
                .events
                .warn(format!("what was accepted could not be loaded and is tried again: {failures}"));
        }
    }

    /// When the next round has something to do; none if nothing waits.
    fn next(&self) -> Option<Instant> {
        let waits = self.server.sources.feeds().filter(|feed| feed.waiting_bytes() > 0);
        waits.map(|feed| self.paused.get(feed.label()).map_or_else(Instant::now, |pace| pace.due().into())).min()
    }

    /// Does `work`, and goes on loading if that takes long. A load that has begun is never left: what it took would be in no line.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let (ended, mut end) = oneshot::channel::<()>();
        let working = async {
            let done = work.await;
            // The other half has the receiver until it hears of this.
            let _ = ended.send(());
            done
        };
        let loading = async {
            loop {
                tokio::select! {
                    _ = &mut end => return,
                    () = sleep(LOAD_BESIDE) => {}
                }
                while self.next().is_some_and(|due| due <= Instant::now()) {
                    self.round().await;
                    // Asked once more after its word came, the receiver would panic.
                    if end.try_recv() != Err(oneshot::error::TryRecvError::Empty) {
                        return;
                    }
                }
            }
        };
        tokio::join!(working, loading).0
    }
}

pub(crate) struct Waves {
    server: Arc<Server>,
    live: Live,
    news: Arc<Notify>,
    /// Tables that others loaded.
    moves: mpsc::UnboundedReceiver<(TableName, u64)>,
    loads: Loads,
    /// When waves are tried again after one that could not be run at all.
    pace: Option<Pace>,
}

impl Waves {
    pub(crate) fn new(
        server: Arc<Server>,
        live: Live,
        news: Arc<Notify>,
        moves: mpsc::UnboundedReceiver<(TableName, u64)>,
    ) -> Self {
        let loads = Loads {
            server: Arc::clone(&server),
            paused: BTreeMap::new(),
            failures: Vec::new(),
            moved: BTreeMap::new(),
        };
        Self { server, live, news, moves, loads, pace: None }
    }

    /// Does `work` before the waves; what is accepted meanwhile is loaded.
    pub(crate) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        self.loads.beside(work).await
    }

    /// Runs until the server stops and everything that was accepted has been through a wave.
    pub(crate) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let refresher = self.live.refresher();
        let server = Arc::clone(&self.server);
        let preparing = async {
            let _alone = server.building.lock().await;
            finished(refresher.prepare()).await
        };
        match self.loads.beside(preparing).await {
            Ok(summary) => summary.epoch.into_iter().for_each(|epoch| self.server.show(epoch)),
            Err(error) => self.server.workspace.events.warn(format!("the live models could not be prepared: {error}")),
        }
        // What was loaded before the last stop, and not taken through any more, goes with the first wave.
        for feed in self.server.sources.feeds() {
            match self.server.workspace.lake.newest_version(feed.table_name()).await {
                Ok(Some(version)) => self.live.moved(feed.table_name().clone(), version),
                Ok(None) => {}
                Err(error) => {
                    let text = format!(
                        "{}: what came before the last stop shows with the next delivery: {error}",
                        feed.label()
                    );
                    self.server.workspace.events.warn(text);
                }
            }
        }
        let background = &self.server.background;
        let refreshing =
            background.refreshes.spawn(keep_refreshing(Arc::clone(&self.server), refresher, stopped.clone()));
        let tidying = background.upkeep.spawn(keep_tidy(Arc::clone(&self.server), self.live.upkeep(), stopped.clone()));
        let mut next = self.step().await;
        while !*stopped.borrow() {
            let due = next.unwrap_or_else(|| Instant::now() + IDLE);
            tokio::select! {
                () = self.news.notified() => {}
                Some((table, version)) = self.moves.recv() => self.live.moved(table, version),
                () = sleep_until(due) => {}
                _ = stopped.changed() => {}
            }
            next = self.step().await;
        }
        // What failed now is tried again by the next start.
        let drain = async {
            while self.has_rest() {
                if let Some(due) = self.step().await {
                    sleep_until(due).await;
                }
            }
        };
        let _ = timeout(DRAIN, drain).await;
        let _ = tokio::join!(refreshing, tidying);
    }

    /// Whether something that was accepted has not been through a wave. Models that stand still are left to the next start.
    fn has_rest(&self) -> bool {
        self.live.has_news() || self.loads.next().is_some()
    }

    /// Loads, and takes through what is due; when there is more to do, if there is.
    async fn step(&mut self) -> Option<Instant> {
        self.loads.round().await;
        self.take_moves();
        let mut failures = self.loads.failures.clone();
        if self.is_wave_due() {
            failures.extend(self.wave().await);
        }
        let stopped = self.server.progress.read().stopped_models;
        let of_model = |model: &StoppedModel| format!("{}: {}", model.unique_id, model.cause);
        let first = failures.into_iter().next().or_else(|| stopped.first().map(of_model));
        self.server.progress.write(|status| status.last_error = first);
        let wave = self.live.has_news().then(|| self.pace.map_or_else(Instant::now, |pace| pace.due().into()));
        let retry = self.live.next_try().map(Instant::from);
        [self.loads.next(), wave, retry].into_iter().flatten().min()
    }

    fn take_moves(&mut self) {
        while let Ok((table, version)) = self.moves.try_recv() {
            self.live.moved(table, version);
        }
        for (table, version) in std::mem::take(&mut self.loads.moved) {
            self.live.moved(table, version);
        }
    }

    fn is_wave_due(&self) -> bool {
        let now = std::time::Instant::now();
        let has_work = self.live.has_news() || self.live.next_try().is_some_and(|due| due <= now);
        has_work && self.pace.is_none_or(|pace| pace.due() <= now)
    }

    /// One wave; why it could not be run, if so.
    async fn wave(&mut self) -> Option<String> {
        let server = Arc::clone(&self.server);
        let loaded: Vec<(&Arc<Feed>, u64)> = server.sources.feeds().map(|feed| (feed, feed.rows_loaded())).collect();
        match self.loads.beside(self.live.wave()).await {
            Ok(wave) => {
                self.pace = None;
                loaded.iter().for_each(|(feed, rows)| feed.note_shown(*rows));
                wave.epoch.into_iter().for_each(|epoch| server.show(epoch));
                server.progress.write(|status| {
                    status.waves = wave.number;
                    status.last_wave_at = Some(Utc::now());
                    status.last_wave_ms = u64::try_from(wave.duration.as_millis()).ok();
                    status.stopped_models = wave.stopped;
                });
                None
            }
            Err(error) => {
                let now = std::time::Instant::now();
                self.pace = Some(self.pace.map_or_else(|| Pace::after_failure(now), |pace| pace.slower(now)));
                server.workspace.events.warn(format!("a wave failed and is tried again: {error}"));
                Some(error.to_string())
            }
        }
    }
}

/// A build, what follows from it, and its records.
pub(crate) async fn finished(build: impl Future<Output = Result<Built, BuildError>>) -> Result<RunSummary, BuildError> {
    let built = build.await?;
    wardlake_trust::after(&built).await;
    built.finish().await
}

/// Refreshes at once, and again at the interval, while there is room: what is made anew stands beside what it replaces. A stop does not wait
/// for the end of one: it is as a crash, which leaves old tables.
async fn keep_refreshing(server: Arc<Server>, mut refresher: Refresher, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        tokio::select! {
            () = server.readiness.room() => {}
            _ = stopped.wait_for(|is_stopped| *is_stopped) => break,
        }
        let refreshing = async {
            let _alone = server.building.lock().await;
            finished(refresher.refresh()).await
        };
        let refreshed = tokio::select! {
            refreshed = refreshing => refreshed,
            _ = stopped.changed() => break,
        };
        match refreshed {
            Ok(summary) => {
                summary.epoch.into_iter().for_each(|epoch| server.show(epoch));
                server.progress.write(|status| status.last_refresh_at = Some(Utc::now()));
            }
            Err(error) => server.workspace.events.warn(format!("the models could not be refreshed: {error}")),
        }
        tokio::select! {
            () = tokio::time::sleep(refresher.every()) => {}
            _ = stopped.changed() => {}
        }
    }
}

/// A little upkeep between waves, and checkpoints beside it; a stop leaves the rest to the next start.
async fn keep_tidy(server: Arc<Server>, mut upkeep: Upkeep, mut stopped: watch::Receiver<bool>) {
    let tell = |failures: Vec<LoadError>| {
        if !failures.is_empty() {
            let failures: Vec<String> = failures.iter().map(ToString::to_string).collect();
            server.workspace.events.warn(format!("upkeep was put off: {}", failures.join("; ")));
        }
    };
    let checkpoints = upkeep.checkpoints();
    let checkpointing = async {
        loop {
            tokio::time::sleep(CHECKPOINT_EVERY).await;
            tell(checkpoints.write().await);
        }
    };
    let tidying = async {
        loop {
            let is_short = tokio::select! {
                () = server.readiness.shortage() => true,
                () = tokio::time::sleep(TIDY_EVERY) => false,
            };
            if is_short {
                // What may go goes at once.
                tell(upkeep.free().await);
            } else {
                tell(upkeep.round().await);
            }
            server.progress.write(|status| status.last_maintained_at = upkeep.maintained_at());
            if is_short {
                tokio::time::sleep(TIDY_EVERY).await;
            }
        }
    };
    tokio::select! {
        () = checkpointing => {}
        () = tidying => {}
        _ = stopped.wait_for(|is_stopped| *is_stopped) => {}
    }
}
