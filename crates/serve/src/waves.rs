//! The loop that keeps models fresh: load what was accepted, take it through the graph, say which epoch shows it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::future::join_all;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use wardlake_core::TableName;
use wardlake_runner::{Live, Refresher, RunnerError, Upkeep};

use crate::Server;

/// After a failure the next try waits so long, and twice as long after each further one, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Between two rounds of upkeep, and of checkpoints.
const TIDY_EVERY: Duration = Duration::from_secs(20);
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);
/// A stop waits so long for what was accepted to be loaded; the rest is in the journal.
const DRAIN: Duration = Duration::from_secs(60);

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
    /// What failed last, and is not mended since.
    pub(crate) last_error: Option<String>,
}

impl Progress {
    pub(crate) fn read(&self) -> WaveStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn write(&self, change: impl FnOnce(&mut WaveStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

pub(crate) struct Waves {
    server: Arc<Server>,
    live: Live,
    news: Arc<Notify>,
    /// Tables that others loaded.
    moves: mpsc::UnboundedReceiver<(TableName, u64)>,
    /// How long the next try waits after failures in a row.
    pause: Duration,
}

impl Waves {
    pub(crate) fn new(
        server: Arc<Server>,
        live: Live,
        news: Arc<Notify>,
        moves: mpsc::UnboundedReceiver<(TableName, u64)>,
    ) -> Self {
        Self { server, live, news, moves, pause: FIRST_PAUSE }
    }

    /// Runs until the server stops and everything that was accepted has been through a wave.
    pub(crate) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let refresher = self.live.refresher();
        match refresher.prepare().await {
            Ok(summary) => summary.epoch.into_iter().for_each(|epoch| self.server.show(epoch)),
            Err(error) => self.server.workspace.events.warn(format!("the live models could not be prepared: {error}")),
        }
        // What was loaded before the last stop, and not taken through any more, goes with the first wave.
        for feed in self.server.sources.feeds() {
            if let Ok(Some(version)) = self.server.workspace.lake.newest_version(feed.table_name()).await {
                self.live.moved(feed.table_name().clone(), version);
            }
        }
        let background = &self.server.background;
        let refreshing =
            background.refreshes.spawn(keep_refreshing(Arc::clone(&self.server), refresher, stopped.clone()));
        let tidying = background.upkeep.spawn(keep_tidy(Arc::clone(&self.server), self.live.upkeep(), stopped.clone()));
        let mut retry = self.step().await;
        while !*stopped.borrow() {
            let due = retry.unwrap_or_else(|| Instant::now() + LONGEST_PAUSE);
            tokio::select! {
                () = self.news.notified() => {}
                Some((table, version)) = self.moves.recv() => self.live.moved(table, version),
                () = sleep_until(due) => {}
                _ = stopped.changed() => {}
            }
            retry = self.step().await;
        }
        // What failed now is tried again by the next start.
        let drain = async {
            while let Some(due) = self.step().await {
                sleep_until(due).await;
            }
        };
        let _ = timeout(DRAIN, drain).await;
        let _ = tokio::join!(refreshing, tidying);
    }

    /// Loads and takes through; when to try again, if something failed.
    async fn step(&mut self) -> Option<Instant> {
        let mut moved: BTreeMap<TableName, u64> = BTreeMap::new();
        let mut failures = Vec::new();
        let workspace = &self.server.workspace;
        // A wave that failed goes first: more rows would not make it easier.
        let has_room = !self.live.has_news();
        let loads = self
            .server
            .sources
            .feeds()
            .filter(|_| has_room)
            .map(|feed| async { (feed.table_name(), feed.load(workspace).await) });
        for (table, loaded) in join_all(loads).await {
            match loaded {
                Ok(Some(version)) => {
                    moved.insert(table.clone(), version);
                }
                Ok(None) => {}
                Err(error) => failures.push(format!("{table}: {error}")),
            }
        }
        while let Ok((table, version)) = self.moves.try_recv() {
            self.live.moved(table, version);
        }
        moved.into_iter().for_each(|(table, version)| self.live.moved(table, version));
        if self.live.has_news() {
            match self.live.wave().await {
                Ok(wave) => {
                    if wave.failures.is_empty() {
                        self.server.sources.feeds().for_each(|feed| feed.note_shown());
                    }
                    failures.extend(wave.failures);
                    if let Some(epoch) = wave.epoch {
                        self.server.show(epoch);
                    }
                    self.server.progress.write(|status| {
                        status.waves = wave.number;
                        status.last_wave_at = Some(Utc::now());
                        status.last_wave_ms = u64::try_from(wave.duration.as_millis()).ok();
                    });
                }
                Err(error) => failures.push(error.to_string()),
            }
        }
        if let Some(first) = failures.first() {
            self.server.workspace.events.warn(format!("a wave failed and is tried again: {}", failures.join("; ")));
            self.server.progress.write(|status| status.last_error = Some(first.clone()));
            let due = Instant::now() + self.pause;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            return Some(due);
        }
        if self.pause != FIRST_PAUSE {
            self.pause = FIRST_PAUSE;
            self.server.progress.write(|status| status.last_error = None);
        }
        // What a load left in line, or a failed wave held up, goes on at once.
        self.server.sources.feeds().any(|feed| feed.status().waiting_bytes > 0).then(Instant::now)
    }
}

/// Refreshes at once, and again at the interval. A stop does not wait for the end of one: it is as a crash, which leaves old tables.
async fn keep_refreshing(server: Arc<Server>, mut refresher: Refresher, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        let refreshed = tokio::select! {
            refreshed = refresher.refresh() => refreshed,
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
    let tell = |failures: Vec<RunnerError>| {
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
            tokio::time::sleep(TIDY_EVERY).await;
            tell(upkeep.round().await);
        }
    };
    tokio::select! {
        () = checkpointing => {}
        () = tidying => {}
        _ = stopped.wait_for(|is_stopped| *is_stopped) => {}
    }
}
