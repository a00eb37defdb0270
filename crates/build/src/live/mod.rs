//! Continuous models: what is below a table that moved runs again, by the code of a build.
//!
//! Models that take only what is new (`incremental`) and views live with every wave. Everything else below them is rebuilt,
//! with all tests, at an interval: the refresh. A model that fails in a wave stands still alone; the rest is published.

mod follow;
mod stopped;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use wardlake_core::TableName;
use wardlake_load::{Upkeep, Workspace};
use wardlake_project::{Node, Project, ResourceType, UniqueId};
use wardlake_records::{EventSink, RunEvent, RunSummary, Status};

use self::stopped::Stopped;
use crate::{
    BuildOptions,
    error::BuildError,
    run::{self, Built, Partial},
};

pub use self::{
    follow::{Follower, MAX_VIEW_ROWS, ModelNews, Pictures},
    stopped::{FIRST_PAUSE, LONGEST_PAUSE, Pace, StoppedModel},
};

/// How models are kept fresh.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Nodes at once.
    pub threads: usize,
    /// Between two refreshes of the models that are rebuilt as a whole.
    pub refresh: Duration,
    /// dbt selectors of what refreshes leave out.
    pub exclude: Vec<String>,
}

/// What one wave did.
#[derive(Clone, Debug)]
pub struct Wave {
    /// 1, 2, … since the server started.
    pub number: u64,
    /// The epoch that shows it; none if nothing changed.
    pub epoch: Option<u64>,
    /// The models that ran, and for how many seconds each.
    pub models: BTreeMap<String, f64>,
    /// Rows they wrote.
    pub rows: u64,
    /// Which models failed in it, and why.
    pub failures: Vec<String>,
    /// Every model that stands still after it.
    pub stopped: Vec<StoppedModel>,
    /// How long it took.
    pub duration: Duration,
}

/// The models of a project that live with its sources.
pub struct Live {
    workspace: Arc<Workspace>,
    options: LiveOptions,
    /// What refreshes are about.
    refreshed: Vec<UniqueId>,
    /// Per table of a source: the incremental models that rows of it reach, through views and each other.
    below: BTreeMap<TableName, BTreeSet<UniqueId>>,
    /// Those of them that read the table themselves or through views.
    entered: BTreeMap<TableName, BTreeSet<UniqueId>>,
    /// Tables that moved and are not taken through yet.
    moved: BTreeMap<TableName, u64>,
    /// Tables that had a wave. Below the others a model may not have seen what came to one above it, and all run.
    settled: BTreeSet<TableName>,
    stopped: Stopped,
    waves: u64,
}

impl Live {
    /// Prepares the waves of a project. An error if a selector is none.
    pub fn new(workspace: Arc<Workspace>, options: LiveOptions) -> Result<Self, BuildError> {
        let refreshed = workspace.project.select(&[], &options.exclude, Some(&run::BUILT))?;
        let below = reached(&workspace.project, true);
        let entered = reached(&workspace.project, false);
        let (moved, settled, stopped) = Default::default();
        Ok(Self { workspace, options, refreshed, below, entered, moved, settled, stopped, waves: 0 })
    }

    /// Notes that a source table has a new version.
    pub fn moved(&mut self, table: TableName, version: u64) {
        self.moved.insert(table, version);
    }

    /// Whether tables moved that no wave has taken through.
    pub fn has_news(&self) -> bool {
        !self.moved.is_empty()
    }

    /// When a model that stands still is tried again, if one does.
    pub fn next_try(&self) -> Option<Instant> {
        self.stopped.next_try()
    }

    /// Takes everything that moved through the models below it, tries again what is due of the models that stand still, and publishes
    /// what went through.
    pub async fn wave(&mut self) -> Result<Wave, BuildError> {
        let started = Instant::now();
        self.waves += 1;
        let loaded = std::mem::take(&mut self.moved);
        let options =
            BuildOptions { command: "wave".to_owned(), threads: self.options.threads, ..BuildOptions::default() };
        let (due, partial) = self.plan(&loaded, started);
        self.settled.retain(|table| !loaded.contains_key(table));
        // Nobody listens: a wave is told as a whole.
        let silent = self.workspace.another_run(EventSink::channel().0);
        let summary = match run::build_partial(Arc::new(silent), options, partial).await {
            Ok(summary) => summary,
            Err(error) => {
                self.take_back(loaded);
                return Err(error);
            }
        };
        self.settled.extend(loaded.into_keys());
        let failures = self.note_ends(&summary, &due);
        let ran = summary.results.iter().filter(|result| !result.is_reused);
        let models = ran.map(|result| (result.relation.clone().unwrap_or_default(), result.seconds())).collect();
        let rows = summary.results.iter().filter_map(|result| result.rows).sum();
        let stopped = self.stopped.list(|id| self.live_below([id]).iter().map(ToString::to_string).collect());
        let duration = started.elapsed();
        let wave = Wave { number: self.waves, epoch: summary.epoch, models, rows, failures, stopped, duration };
        self.workspace.events.tell(RunEvent::WaveFinished {
            number: wave.number,
            models: wave.models.clone(),
            rows,
            epoch: wave.epoch,
            duration_s: wave.duration.as_secs_f64(),
            failures: wave.failures.clone(),
        });
        Ok(wave)
    }

    /// The models of a wave that takes `loaded` through, and those of them that stood still and are due.
    fn plan(&self, loaded: &BTreeMap<TableName, u64>, now: Instant) -> (BTreeSet<UniqueId>, Partial) {
        let of_loaded = |models: &BTreeMap<TableName, BTreeSet<UniqueId>>| -> BTreeSet<UniqueId> {
            loaded.keys().filter_map(|table| models.get(table)).flatten().cloned().collect()
        };
        let (due, mut resting) = self.stopped.split(now);
        resting.extend(self.live_below(&resting));
        // What a model that stood still held up has missed what came meanwhile, and runs with it.
        let mut again = self.live_below(&due);
        again.extend(due.iter().cloned());
        let is_settled = loaded.keys().all(|table| self.settled.contains(table));
        let entered = is_settled.then(|| of_loaded(&self.entered).into_iter().chain(again.iter().cloned()).collect());
        let mut models = of_loaded(&self.below);
        models.extend(again);
        models.retain(|id| !resting.contains(id));
        let order = self.workspace.project.graph().sort(models);
        (due, Partial { order, loaded: loaded.clone(), entered })
    }

    /// The models that live with waves below the given ones.
    fn live_below<'a>(&self, ids: impl IntoIterator<Item = &'a UniqueId>) -> BTreeSet<UniqueId> {
        let mut ids = ids.into_iter().peekable();
        if ids.peek().is_none() {
            return BTreeSet::new();
        }
        let ids: Vec<UniqueId> = ids.cloned().collect();
        let mut below = self.workspace.project.graph().descendants(&ids, None);
        below.retain(|id| self.below.values().any(|live| live.contains(id)));
        below
    }

    /// Notes how the models of a wave ended; the failures. A model that stops, for a new reason or not at all any more is told of.
    fn note_ends(&mut self, summary: &RunSummary, due: &BTreeSet<UniqueId>) -> Vec<String> {
        let now = Instant::now();
        let mut failures = Vec::new();
        for result in &summary.results {
            let id: UniqueId = result.unique_id.clone();
            let events = &self.workspace.events;
            match result.status {
                status if status.is_failure() => {
                    let cause = result.message.as_deref().unwrap_or("failed");
                    if self.stopped.failed(id, cause, now) {
                        let text = "stands still until it goes through; it is tried again, all else goes on";
                        events.warn(format!("{} {text}: {cause}", result.label));
                    }
                    failures.push(format!("{}: {cause}", result.label));
                }
                Status::Skipped if due.contains(&id) => self.stopped.put_off(&id, now),
                Status::Skipped => {}
                _ => {
                    if self.stopped.succeeded(&id) {
                        events.tell(RunEvent::Message {
                            level: "info".to_owned(),
                            text: format!("{} went through again", result.label),
                        });
                    }
                }
            }
        }
        failures
    }

    fn take_back(&mut self, loaded: BTreeMap<TableName, u64>) {
        for (table, version) in loaded {
            let known = self.moved.entry(table).or_insert(version);
            *known = version.max(*known);
        }
    }

    /// What comes before the waves, and the refresh beside them.
    pub fn refresher(&self) -> Refresher {
        let live: BTreeSet<UniqueId> = self.below.values().flatten().cloned().collect();
        Refresher {
            workspace: Arc::clone(&self.workspace),
            threads: self.options.threads,
            every: self.options.refresh,
            order: self.refreshed.iter().filter(|id| !live.contains(*id)).cloned().collect(),
            live,
            is_first: true,
        }
    }

    /// The upkeep of the tables that grow with every wave, as a task of its own.
    pub fn upkeep(&self) -> Upkeep {
        let project = &self.workspace.project;
        let models: Vec<&Node> = self.below.values().flatten().filter_map(|id| project.node(id)).collect();
        Upkeep::new(self.workspace.for_waiting_work(), &models, self.below.keys().cloned())
    }
}

/// Builds what does not live with the waves.
pub struct Refresher {
    workspace: Arc<Workspace>,
    threads: usize,
    every: Duration,
    live: BTreeSet<UniqueId>,
    /// What a refresh builds, in graph order.
    order: Vec<UniqueId>,
    /// Whether the next refresh is the first.
    is_first: bool,
}

impl Refresher {
    /// Between two refreshes.
    pub fn every(&self) -> Duration {
        self.every
    }

    /// Builds what waves need, before the first of them: the models that live with them and all that those read, and the views that read
    /// nothing else. Tests come with the first refresh.
    pub async fn prepare(&self) -> Result<Built, BuildError> {
        let project = &self.workspace.project;
        let graph = project.graph();
        let mut needed: BTreeSet<UniqueId> = graph.ancestors(&self.live, None);
        needed.retain(|id| project.node(id).is_some());
        needed.extend(self.live.iter().cloned());
        for id in graph.topological_order() {
            let has_all = |id| graph.parents(id).iter().all(|id| needed.contains(id) || project.node(id).is_none());
            if project.node(id).is_some_and(is_transparent) && has_all(id) {
                needed.insert(id.clone());
            }
        }
        self.build(self.workspace.another_run(self.workspace.events.clone()), "prepare", graph.sort(needed)).await
    }

    /// Builds the models that do not live with the waves, and tests everything, beside the waves. The first time it is told node by
    /// node, then by what went wrong.
    pub async fn refresh(&mut self) -> Result<Built, BuildError> {
        let is_first = std::mem::replace(&mut self.is_first, false);
        let events = if is_first { self.workspace.events.clone() } else { EventSink::channel().0 };
        let built =
            self.build(self.workspace.for_waiting_work().another_run(events), "refresh", self.order.clone()).await?;
        if !is_first {
            for failed in built.results().iter().filter(|result| result.status.is_failure()) {
                let reason = failed.message.as_deref().unwrap_or("failed");
                self.workspace.events.warn(format!("refresh: {}: {reason}", failed.label));
            }
        }
        Ok(built)
    }

    async fn build(&self, run: Workspace, command: &str, order: Vec<UniqueId>) -> Result<Built, BuildError> {
        let options = BuildOptions { command: command.to_owned(), threads: self.threads, ..BuildOptions::default() };
        run::build_nodes(Arc::new(run), options, order).await
    }
}

fn is_incremental(node: &Node) -> bool {
    node.resource_type == ResourceType::Model && node.config.materialized == "incremental"
}

/// Whether rows pass through a node without a build of it.
fn is_transparent(node: &Node) -> bool {
    matches!(node.config.materialized.as_str(), "view" | "ephemeral")
}

/// Per table of a source: the incremental models that read it, through views, and with `further` those below them.
fn reached(project: &Project, further: bool) -> BTreeMap<TableName, BTreeSet<UniqueId>> {
    let mut reached = BTreeMap::new();
    for source in project.sources().values() {
        let Some(table) = source.relation.table_name() else { continue };
        let mut found = BTreeSet::new();
        let mut seen: BTreeSet<&UniqueId> = BTreeSet::new();
        let mut queue: VecDeque<&UniqueId> = VecDeque::from([&source.unique_id]);
        while let Some(id) = queue.pop_front() {
            for child in project.graph().children(id) {
                let Some(node) = project.node(child) else { continue };
                if is_incremental(node) {
                    found.insert(child.clone());
                }
                let goes_on = is_transparent(node) || (further && is_incremental(node));
                if goes_on && seen.insert(child) {
                    queue.push_back(child);
                }
            }
        }
        reached.insert(table, found);
    }
    reached
}
