//! Runs selected nodes in graph order: a failed node leaves its old table in place and its dependants are skipped; a
//! run without failures publishes an epoch.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, PoisonError},
    time::Instant,
};

use chrono::Utc;
use tokio::task::JoinSet;
use wardlake_core::TableName;
use wardlake_engine::Session;
use wardlake_load::Workspace;
use wardlake_project::{ResourceType, UniqueId};
use wardlake_records::{NodeResult, RunEvent, RunSummary, Status, Totals, system};

use crate::{
    context::{BuildContext, BuildOptions},
    error::BuildError,
    fingerprint::NodeStates,
    materialize,
    node::{label, run_node, skipped, unrun},
    publish,
    schedule::Schedule,
};

/// What a build runs.
pub(crate) const BUILT: [ResourceType; 4] =
    [ResourceType::Seed, ResourceType::Model, ResourceType::Snapshot, ResourceType::Test];

/// Runs the selected nodes and publishes an epoch if none failed.
pub async fn build(workspace: Arc<Workspace>, options: BuildOptions) -> Result<Built, BuildError> {
    let types = if options.resource_types.is_empty() { BUILT.as_slice() } else { &options.resource_types };
    let order = workspace.project.select(&options.select, &options.exclude, Some(types))?;
    build_nodes(workspace, options, order).await
}

/// The same for the named nodes, in graph order.
pub(crate) async fn build_nodes(
    workspace: Arc<Workspace>,
    options: BuildOptions,
    order: Vec<UniqueId>,
) -> Result<Built, BuildError> {
    let started = Instant::now();
    workspace.events.tell(RunEvent::RunStarted {
        run_id: workspace.run_id.clone(),
        command: options.command.clone(),
        at: Utc::now(),
        inventory: workspace.project.inventory(),
        total: order.len(),
        threads: options.threads,
    });
    let schedule = Schedule::new(&workspace.project, order);
    let context = Arc::new(BuildContext::open(Arc::clone(&workspace), options, &schedule.order).await?);
    let results = run_schedule(&context, &schedule, None).await?;
    workspace.tell_missing();
    publish_passed(context, results, started).await
}

/// What a build that is one of many keeps between them.
pub(crate) struct Partial {
    /// Nodes to run, in graph order.
    pub(crate) order: Vec<UniqueId>,
    /// Tables that were loaded for it and are read at their newest version.
    pub(crate) loaded: BTreeMap<TableName, u64>,
    /// Nodes that read a loaded table. Of the others those run that read a table to which this build brought something. `None`: all
    /// nodes run.
    pub(crate) entered: Option<BTreeSet<UniqueId>>,
}

/// Runs the named nodes as a build does, without its tests and records, and publishes what was loaded with what went through.
pub(crate) async fn build_partial(
    workspace: Arc<Workspace>,
    options: BuildOptions,
    partial: Partial,
) -> Result<RunSummary, BuildError> {
    let started = Instant::now();
    let schedule = Schedule::new(&workspace.project, partial.order);
    let working = partial.loaded.keys().cloned().collect();
    let states = NodeStates::unknown();
    let context = BuildContext::with(workspace, options, &schedule.order, working, states, true).await?;
    let context = Arc::new(context);
    let results = run_schedule(&context, &schedule, partial.entered.as_ref()).await?;
    context.workspace.tell_missing();
    let mut totals = Totals::default();
    results.iter().for_each(|result| totals.count(result.status));
    let epoch = publish::what_passed(&context, &results, &partial.loaded).await?;
    let audits = std::mem::take(&mut *context.audits.lock().unwrap_or_else(PoisonError::into_inner));
    system::record_audits(&context.workspace.lake, &context.workspace.run_id, &audits).await?;
    Ok(RunSummary { results, totals, epoch, duration_s: started.elapsed().as_secs_f64() })
}

/// Starts every node as soon as all it waits for has ended, `threads` at once. `entered` as in [`Partial`].
async fn run_schedule(
    context: &Arc<BuildContext>,
    schedule: &Schedule,
    entered: Option<&BTreeSet<UniqueId>>,
) -> Result<Vec<NodeResult>, BuildError> {
    let total = schedule.order.len();
    let index: HashMap<&UniqueId, usize> = schedule.order.iter().enumerate().map(|(i, id)| (id, i + 1)).collect();
    let mut waiting: HashMap<&UniqueId, usize> = HashMap::new();
    let mut dependants: HashMap<&UniqueId, Vec<&UniqueId>> = HashMap::new();
    for id in &schedule.order {
        waiting.insert(id, schedule.waits_for(id).count());
        for upstream in schedule.waits_for(id) {
            dependants.entry(upstream).or_default().push(id);
        }
    }
    let mut ready: BTreeSet<usize> = schedule
        .order
        .iter()
        .filter(|id| waiting.get(id) == Some(&0))
        .filter_map(|id| index.get(id).copied())
        .collect();
    let mut blocked_by: HashMap<UniqueId, UniqueId> = HashMap::new();
    let mut moved: BTreeSet<UniqueId> = BTreeSet::new();
    let mut results = Vec::with_capacity(total);
    let mut running = JoinSet::new();
    let mut is_stopping = false;
    loop {
        while running.len() < context.options.threads.max(1)
            && let Some(next) = ready.pop_first()
        {
            let id = schedule.order[next - 1].clone();
            let reason = if is_stopping {
                Some("--fail-fast stopped the run".to_owned())
            } else {
                blocked_by.get(&id).map(|upstream| format!("{} failed", short_name(upstream)))
            };
            let is_idle = entered.is_some_and(|entered| !entered.contains(&id))
                && schedule.waits_for(&id).all(|upstream| !moved.contains(upstream));
            let context = Arc::clone(context);
            running.spawn(async move {
                let result = match reason {
                    Some(reason) => skipped(&context, &id, reason),
                    None if is_idle => NodeResult { is_reused: true, ..unrun(&context, &id, Status::Success) },
                    None => {
                        context.workspace.events.tell(RunEvent::NodeStarted {
                            index: next,
                            total,
                            unique_id: id.to_string(),
                            label: context.node(&id).map_or_else(|| id.to_string(), label),
                        });
                        run_node(&context, &id).await
                    }
                };
                (next, id, result)
            });
        }
        let Some(finished) = running.join_next().await else { break };
        let (place, id, result) = finished?;
        let is_blocking = result.status.is_failure() || result.status == Status::Skipped;
        is_stopping |= context.options.fail_fast && result.status.is_failure();
        if context.node(&id).is_none_or(|node| materialize::moves(node, &result)) {
            moved.insert(id.clone());
        }
        context.workspace.events.tell(RunEvent::NodeFinished { index: place, total, result: result.clone() });
        results.push(result);
        for dependant in dependants.get(&id).into_iter().flatten() {
            if is_blocking {
                let origin = blocked_by.get(&id).cloned().unwrap_or_else(|| id.clone());
                blocked_by.entry((*dependant).clone()).or_insert(origin);
            }
            if let Some(count) = waiting.get_mut(dependant) {
                *count -= 1;
                if *count == 0 {
                    ready.extend(index.get(dependant));
                }
            }
        }
    }
    Ok(results)
}

fn short_name(id: &UniqueId) -> String {
    id.to_string().splitn(3, '.').last().unwrap_or_default().to_owned()
}

/// A build that has published what passed. What follows from it can be worked out now; [`Self::finish`] keeps its records.
#[must_use = "a build that is not finished has no records"]
pub struct Built {
    context: Arc<BuildContext>,
    results: Vec<NodeResult>,
    epoch: Option<u64>,
    unpublished: Option<String>,
    started: Instant,
}

impl Built {
    /// The run.
    pub fn workspace(&self) -> &Arc<Workspace> {
        &self.context.workspace
    }

    /// The state that it read and wrote.
    pub fn session(&self) -> &Session {
        &self.context.session
    }

    /// Nodes at once.
    pub fn threads(&self) -> usize {
        self.context.options.threads
    }

    /// Every node's result, in the order they finished.
    pub fn results(&self) -> &[NodeResult] {
        &self.results
    }

    /// The epoch that was published, if any.
    pub fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// Keeps the run's records and says how it ended.
    pub async fn finish(self) -> Result<RunSummary, BuildError> {
        let Self { context, results, epoch, unpublished, started } = self;
        let mut totals = Totals::default();
        results.iter().for_each(|result| totals.count(result.status));
        let summary = RunSummary { results, totals, epoch, duration_s: started.elapsed().as_secs_f64() };
        let audits = std::mem::take(&mut *context.audits.lock().unwrap_or_else(PoisonError::into_inner));
        let (lake, run_id) = (&context.workspace.lake, context.workspace.run_id.as_str());
        system::record_audits(lake, run_id, &audits).await?;
        system::record_run(lake, run_id, &context.options.command, &summary).await?;
        context.workspace.events.tell(RunEvent::RunFinished {
            run_id: run_id.to_owned(),
            at: Utc::now(),
            totals,
            duration_s: summary.duration_s,
            unpublished,
        });
        Ok(summary)
    }
}

/// Publishes what passed.
async fn publish_passed(
    context: Arc<BuildContext>,
    results: Vec<NodeResult>,
    started: Instant,
) -> Result<Built, BuildError> {
    context.states.save(&context.workspace.lake, &results).await?;
    let (epoch, unpublished) = publish::after_build(&context, &results).await?;
    if let Some(epoch) = epoch {
        context.workspace.events.tell(RunEvent::EpochPublished { epoch });
    }
    Ok(Built { context, results, epoch, unpublished, started })
}
