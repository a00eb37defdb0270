//! Runs selected nodes in graph order: a failed node leaves its old table in place and its dependants are skipped; a
//! run without failures publishes an epoch.

pub(crate) mod audit;
mod consume;
mod fingerprint;
mod materialize;
mod node;
mod schedule;
mod seed;
mod testing;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use chrono::Utc;
use tokio::task::JoinSet;
use wardlake_core::TableName;
use wardlake_engine::{ReadState, Session};
use wardlake_project::{Node, ResourceType, UniqueId};

pub(crate) use self::node::compile_with as compile_node;
use self::{audit::AuditRecord, fingerprint::NodeStates, node::run_node, schedule::Schedule};
use crate::{
    NodeResult, RunEvent, RunSummary, RunnerError, Status, Totals, Workspace, adapter::table_name, bounds, profile,
    publish, system,
};

/// What a build runs.
pub(crate) const BUILT: [ResourceType; 4] =
    [ResourceType::Seed, ResourceType::Model, ResourceType::Snapshot, ResourceType::Test];

/// What to run, and how.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// The command's name, for the records.
    pub command: String,
    /// dbt selectors; empty selects all.
    pub select: Vec<String>,
    /// dbt selectors to leave out.
    pub exclude: Vec<String>,
    /// Only nodes of these types; empty means all that a build runs.
    pub resource_types: Vec<ResourceType>,
    /// Rebuild incremental models and reload seeds from nothing.
    pub full_refresh: bool,
    /// Stop at the first failure.
    pub fail_fast: bool,
    /// Nodes at once.
    pub threads: usize,
    /// Keep the rows every test finds, whatever its config says.
    pub store_failures: bool,
}

/// Everything the nodes of one run share.
pub(crate) struct BuildContext {
    pub(crate) workspace: Arc<Workspace>,
    pub(crate) options: BuildOptions,
    pub(crate) session: Session,
    pub(crate) states: NodeStates,
    pub(crate) previous: BTreeMap<TableName, u64>,
    /// What the audited models of this run came to, in the order in which they ended.
    pub(crate) audits: Mutex<Vec<AuditRecord>>,
}

/// Runs the selected nodes and publishes an epoch if none failed.
pub async fn build(workspace: Arc<Workspace>, options: BuildOptions) -> Result<RunSummary, RunnerError> {
    let types = if options.resource_types.is_empty() { BUILT.as_slice() } else { &options.resource_types };
    let order = workspace.project.select(&options.select, &options.exclude, Some(types))?;
    build_nodes(workspace, options, order).await
}

/// The same for the named nodes, in graph order.
pub(crate) async fn build_nodes(
    workspace: Arc<Workspace>,
    options: BuildOptions,
    order: Vec<UniqueId>,
) -> Result<RunSummary, RunnerError> {
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
    finish(&context, results, started).await
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
) -> Result<RunSummary, RunnerError> {
    let started = Instant::now();
    let schedule = Schedule::new(&workspace.project, partial.order);
    let working = partial.loaded.keys().cloned().collect();
    let states = NodeStates::unknown();
    let context = BuildContext::with(workspace, options, &schedule.order, working, states, true).await?;
    let context = Arc::new(context);
    let results = run_schedule(&context, &schedule, partial.entered.as_ref()).await?;
    let mut totals = Totals::default();
    results.iter().for_each(|result| totals.count(result.status));
    let epoch = publish::what_passed(&context, &results, &partial.loaded).await?;
    let audits = std::mem::take(&mut *context.audits.lock().unwrap_or_else(PoisonError::into_inner));
    system::record_audits(&context.workspace, &audits).await?;
    Ok(RunSummary { results, totals, epoch, duration_s: started.elapsed().as_secs_f64() })
}

impl BuildContext {
    async fn open(workspace: Arc<Workspace>, options: BuildOptions, order: &[UniqueId]) -> Result<Self, RunnerError> {
        crate::identity::prepare(&workspace).await?;
        let states = NodeStates::load(&workspace.lake).await?;
        Self::with(workspace, options, order, BTreeSet::new(), states, false).await
    }

    /// A context that reads the tables of `order`, and `working` beside them, at their newest versions. `is_recurring`: the same queries
    /// come with the next build.
    async fn with(
        workspace: Arc<Workspace>,
        options: BuildOptions,
        order: &[UniqueId],
        mut working: BTreeSet<TableName>,
        states: NodeStates,
        is_recurring: bool,
    ) -> Result<Self, RunnerError> {
        let nodes = order.iter().filter_map(|id| workspace.project.node(id));
        working.extend(nodes.filter_map(|node| table_name(&node.relation)));
        let newest = workspace.lake.newest_epoch().await?.map(Arc::new);
        let previous = newest.as_ref().map(|epoch| epoch.tables.clone()).unwrap_or_default();
        let state = ReadState::Build { epoch: newest, working: Arc::new(working) };
        let session = match is_recurring {
            true => workspace.engine.recurring_session(state)?,
            false => workspace.engine.session(state).await?,
        };
        Ok(Self { workspace, options, session, states, previous, audits: Mutex::default() })
    }

    pub(crate) fn node(&self, id: &UniqueId) -> Option<&Node> {
        self.workspace.project.node(id)
    }
}

/// Starts every node as soon as all it waits for has ended, `threads` at once. `entered` as in [`Partial`].
async fn run_schedule(
    context: &Arc<BuildContext>,
    schedule: &Schedule,
    entered: Option<&BTreeSet<UniqueId>>,
) -> Result<Vec<NodeResult>, RunnerError> {
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
                            label: context.node(&id).map(node::label).unwrap_or_default(),
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

fn skipped(context: &BuildContext, id: &UniqueId, reason: String) -> NodeResult {
    NodeResult { message: Some(reason), ..unrun(context, id, Status::Skipped) }
}

/// The result of a node that did not run.
fn unrun(context: &BuildContext, id: &UniqueId, status: Status) -> NodeResult {
    let node = context.node(id);
    let now = Utc::now();
    NodeResult {
        unique_id: id.to_string(),
        resource_type: node.map(|node| node.resource_type.to_string()).unwrap_or_default(),
        label: node.map(node::label).unwrap_or_default(),
        relation: None,
        status,
        message: None,
        rows: None,
        failures: None,
        version: None,
        bytes: None,
        is_reused: false,
        started_at: now,
        finished_at: now,
        compiled_code: None,
        fingerprint: None,
    }
}

/// Publishes what passed, keeps the run's records, says how it ended.
async fn finish(
    context: &Arc<BuildContext>,
    results: Vec<NodeResult>,
    started: Instant,
) -> Result<RunSummary, RunnerError> {
    let mut totals = Totals::default();
    for result in &results {
        totals.count(result.status);
    }
    context.states.save(&context.workspace.lake, &results).await?;
    let (epoch, unpublished) = publish::after_build(context, &results).await?;
    if let Some(epoch) = epoch {
        context.workspace.events.tell(RunEvent::EpochPublished { epoch });
        profile::after_build(context, &results).await;
        let written: BTreeSet<&str> = results
            .iter()
            .filter(|result| result.status == Status::Success && !result.is_reused)
            .map(|result| result.unique_id.as_str())
            .collect();
        // What is published stands, whether or not its bounds can be worked out.
        if let Err(error) = bounds::after_build(context, &written, epoch).await {
            context.workspace.events.warn(format!("the bounds of the key figures could not be worked out: {error}"));
        }
    }
    let summary = RunSummary { results, totals, epoch, duration_s: started.elapsed().as_secs_f64() };
    let audits = std::mem::take(&mut *context.audits.lock().unwrap_or_else(PoisonError::into_inner));
    system::record_audits(&context.workspace, &audits).await?;
    system::record_run(&context.workspace, &context.options.command, &summary).await?;
    context.workspace.events.tell(RunEvent::RunFinished {
        run_id: context.workspace.run_id.clone(),
        at: Utc::now(),
        totals,
        duration_s: summary.duration_s,
        unpublished,
    });
    Ok(summary)
}

/// The SQL of a node as it would run now.
pub async fn compile(workspace: &Arc<Workspace>, session: &Session, id: &UniqueId) -> Result<String, RunnerError> {
    let node = workspace.project.node(id);
    let is_incremental = match node.filter(|node| node.config.materialized == "incremental") {
        Some(node) => materialize::is_table(&workspace.lake, &node::target_name(node)?).await?,
        None => false,
    };
    Ok(node::compile_with(workspace, session, id, is_incremental).await?.sql)
}

/// The SQL of a query with Jinja in it.
pub async fn compile_inline(workspace: &Arc<Workspace>, session: &Session, text: &str) -> Result<String, RunnerError> {
    let adapter: Arc<dyn wardlake_project::Adapter> = Arc::new(crate::adapter::EngineAdapter::new(session.clone()));
    let (project, text) = (Arc::clone(&workspace.project), text.to_owned());
    let compiled = tokio::task::spawn_blocking(move || project.compile_inline(&text, &adapter)).await?;
    compiled.map_err(|diagnostic| RunnerError::Project(diagnostic.into()))
}
