//! Loads the sources: files → landing (the bytes) + bronze (every field as text, with lineage) + rejected rows + load log.
//!
//! One commit per table and run. Its ledger names every file and how often that path was loaded, so a file is in bronze
//! once however often the process dies; the load log is repaired from the commits' own records.

mod change;
mod drift;
mod job;
mod late;
mod loader;
mod log;
mod places;
mod rejected;
mod reload;
mod types;
mod writer;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Instant};

use chrono::Utc;
use futures::{StreamExt, stream};
use wardlake_connect::{FileTable, FoundFile};
use wardlake_core::{Diagnostic, Diagnostics, TableName};
use wardlake_project::{Project, ResourceType, Source};
use wardlake_records::{FileLoad, NodeResult, RunEvent, RunSummary, Status, Totals, system};
use wardlake_storage::StorageError;

pub(crate) use self::log::LoadLog;
use crate::{
    Workspace, bronze,
    error::LoadError,
    publish::{self, Changes},
    reading,
};

/// What to load, and how.
#[derive(Clone, Debug, Default)]
pub struct IngestOptions {
    /// dbt selectors over sources; empty selects all.
    pub select: Vec<String>,
    /// dbt selectors to leave out.
    pub exclude: Vec<String>,
    /// Tables at once, and threads that parse one file.
    pub threads: usize,
    /// The project's folder: relative roots start there.
    pub project_dir: PathBuf,
    /// Which of the found files may be read now; all of them without it.
    pub ready: Option<ReadyCheck>,
    /// Reads what was loaded once more, from the kept bytes and by the settings of now, before what is new.
    pub reload: bool,
}

/// Decides which files are complete.
#[derive(Clone)]
pub struct ReadyCheck(pub Arc<dyn Fn(&FoundFile) -> bool + Send + Sync>);

impl std::fmt::Debug for ReadyCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReadyCheck")
    }
}

/// A source table whose extracts are loaded.
#[derive(Clone)]
pub(crate) struct TablePlan {
    pub(crate) unique_id: String,
    /// `<source>.<table>`.
    pub(crate) label: String,
    pub(crate) name: TableName,
    pub(crate) table: FileTable,
    pub(crate) base: PathBuf,
    pub(crate) threads: usize,
    /// The columns its source file describes.
    pub(crate) columns: Vec<String>,
    pub(crate) ready: Option<ReadyCheck>,
}

/// A source table as a server feeds it.
pub struct SourceTable {
    /// `<source>.<table>`.
    pub label: String,
    /// Its bronze table.
    pub name: TableName,
    /// Its settings.
    pub table: FileTable,
    /// The columns its source file describes.
    pub columns: Vec<String>,
    /// The folders its files come from start here.
    pub base: PathBuf,
}

impl SourceTable {
    /// The folder that its extracts come into; none if it has none, or if they come otherwise.
    pub fn folder(&self) -> Option<PathBuf> {
        self.table.extracts()?.folder(&self.base)
    }

    /// Whether a file at this path is one of its files.
    pub fn holds(&self, path: &std::path::Path) -> bool {
        wardlake_connect::belongs(&self.table, &self.base, path)
    }

    /// Gives a table to which nothing has come yet its described columns, so that models can be built on it. To one with rows more is added in
    /// the way in which those were read; where the settings say otherwise, it is told.
    pub async fn create(&mut self, workspace: &Workspace) -> Result<(), LoadError> {
        bronze::create(workspace, &self.label, &self.name, &self.table, &self.columns, None).await?;
        for word in reading::settle(workspace, &self.label, &self.name, &mut self.table).await? {
            workspace.events.warn(format!("source {}: {word}", self.label));
        }
        Ok(())
    }
}

/// Every source table with settings of ours, with every problem of the settings at once.
pub fn source_tables(workspace: &Workspace, project_dir: &std::path::Path) -> Result<Vec<SourceTable>, LoadError> {
    let options = IngestOptions { project_dir: project_dir.to_owned(), ..IngestOptions::default() };
    let table = |plan: TablePlan| SourceTable {
        label: plan.label,
        name: plan.name,
        table: plan.table,
        columns: plan.columns,
        base: plan.base,
    };
    Ok(plan(workspace, &options)?.into_iter().map(table).collect())
}

/// What became of one table.
#[derive(Default)]
struct TableOutcome {
    loads: Vec<FileLoad>,
    version: Option<u64>,
    bytes: u64,
    warnings: Vec<String>,
    /// Files that could not be loaded while others were.
    failures: Vec<String>,
    /// Rows that the kept files came to when they were read again.
    reloaded: Option<u64>,
}

/// Loads every selected source table that has new files, and publishes an epoch if none failed.
pub async fn ingest(workspace: Arc<Workspace>, options: IngestOptions) -> Result<RunSummary, LoadError> {
    let started = Instant::now();
    let plans = plan(&workspace, &options)?;
    let total = plans.len();
    workspace.events.tell(RunEvent::RunStarted {
        run_id: workspace.run_id.clone(),
        command: "ingest".to_owned(),
        at: Utc::now(),
        inventory: workspace.project.inventory(),
        total,
        threads: options.threads,
    });
    let newest = workspace.lake.newest_epoch().await?;
    if let Some(text) = workspace.lake.unreadable_epoch(newest.as_ref()) {
        workspace.events.warn(text);
    }
    let base = newest.map(|epoch| epoch.tables).unwrap_or_default();
    let (log, reload) = (Arc::new(LoadLog::read(&workspace).await?), options.reload);
    let results: Vec<NodeResult> = stream::iter(plans.into_iter().enumerate())
        .map(|(i, plan)| {
            let (workspace, log) = (Arc::clone(&workspace), Arc::clone(&log));
            let published = base.get(&plan.name).copied();
            async move { load_node(&workspace, &log, plan, (reload, published), (i + 1, total)).await }
        })
        .buffer_unordered(options.threads.max(1))
        .collect()
        .await;
    finish(&workspace, &base, results, started).await
}

async fn load_node(
    workspace: &Arc<Workspace>,
    log: &LoadLog,
    plan: TablePlan,
    (reload, published): (bool, Option<u64>),
    (index, total): (usize, usize),
) -> NodeResult {
    let label = format!("source {}", plan.label);
    let mut result = NodeResult::begun(plan.unique_id.clone(), "source".to_owned(), label, Status::Success);
    result.relation = Some(plan.name.to_string());
    workspace.events.tell(RunEvent::NodeStarted {
        index,
        total,
        unique_id: result.unique_id.clone(),
        label: result.label.clone(),
    });
    let outcome = load_table(workspace, log, plan, reload, published).await;
    result.finished_at = Utc::now();
    match outcome {
        Ok(outcome) => {
            let sum = |of: fn(&FileLoad) -> u64| outcome.loads.iter().map(of).sum::<u64>();
            let news = sum(|load| load.inserted + load.updated + load.deleted);
            result.rows = Some(news + outcome.reloaded.unwrap_or_default());
            result.failures = Some(sum(|load| load.rejected));
            result.version = outcome.version;
            result.bytes = Some(outcome.bytes);
            result.is_reused = outcome.loads.is_empty() && outcome.failures.is_empty() && outcome.reloaded.is_none();
            if !outcome.failures.is_empty() {
                result.status = Status::Error;
            } else if !outcome.warnings.is_empty() {
                result.status = Status::Warn;
            }
            let told: Vec<String> = outcome.failures.into_iter().chain(outcome.warnings).collect();
            result.message = (!told.is_empty()).then(|| told.join("; "));
        }
        Err(error) => {
            result.status = Status::Error;
            result.message = Some(error.to_string());
        }
    }
    workspace.events.tell(RunEvent::NodeFinished { index, total, result: result.clone() });
    result
}

/// The file tables among the selected sources, with every problem of their settings at once.
fn plan(workspace: &Workspace, options: &IngestOptions) -> Result<Vec<TablePlan>, LoadError> {
    let project = &workspace.project;
    let (select, exclude) = (named(project, &options.select), named(project, &options.exclude));
    let selected = project.select(&select, &exclude, Some(&[ResourceType::Source]))?;
    let mut plans = Vec::new();
    let mut problems = Diagnostics::default();
    for source in selected.iter().filter_map(|id| project.source(id)).filter(|source| !source.wardlake.is_empty()) {
        match plan_table(source, options) {
            Ok(plan) => plans.push(plan),
            Err(found) => problems.0.extend(found),
        }
    }
    if problems.has_errors() { Err(problems.into()) } else { Ok(plans) }
}

/// Selectors in which a source may be written as it is called everywhere else: `<source>.<table>`.
fn named(project: &Project, selectors: &[String]) -> Vec<String> {
    let is_source =
        |text: &str| project.sources().values().any(|source| format!("{}.{}", source.source_name, source.name) == text);
    let name = |text: &String| if is_source(text) { format!("source:{text}") } else { text.clone() };
    selectors.iter().map(name).collect()
}

/// Everything that is wrong in the settings of the sources that are loaded, for commands that load nothing: what they build, or
/// say of the data, rests on them.
pub fn check_sources(project: &Project) -> Diagnostics {
    let loaded = project.sources().values().filter(|source| !source.wardlake.is_empty());
    Diagnostics(loaded.filter_map(|source| settings(source).err()).flatten().collect())
}

/// The settings of a source table, or what is wrong with them, at its line.
fn settings(source: &Source) -> Result<FileTable, Vec<Diagnostic>> {
    let block = serde_json::Value::Object(source.wardlake.clone());
    FileTable::from_json(&serde_json::Value::Null, &block).map_err(|problems| {
        let diagnostic = |problem: wardlake_connect::ConfigProblem| {
            let field = if problem.path.is_empty() { String::new() } else { format!(" `{}`", problem.path) };
            let (of, message) = (format!("{}.{}", source.source_name, source.name), problem.message);
            let text = format!("source {of}: meta.wardlake{field} {message}");
            let place = source.settings.get(&problem.path).unwrap_or(&source.location);
            let found = Diagnostic::error("WL-S001", text).at(&place.file, place.line, place.column);
            match problem.help {
                Some(help) => found.help(help),
                None => found,
            }
        };
        problems.into_iter().map(diagnostic).collect()
    })
}

fn plan_table(source: &Source, options: &IngestOptions) -> Result<TablePlan, Vec<Diagnostic>> {
    let label = format!("{}.{}", source.source_name, source.name);
    let place = &source.location;
    let table = settings(source)?;
    let name = source.relation.table_name().ok_or_else(|| {
        let text = format!("source {label} has no usable table name in the lake");
        vec![Diagnostic::error("WL-S002", text).at(&place.file, place.line, place.column)]
    })?;
    Ok(TablePlan {
        unique_id: source.unique_id.clone(),
        label,
        name,
        table,
        base: options.project_dir.clone(),
        threads: options.threads.max(1),
        columns: source.columns.iter().map(|column| column.name.clone()).collect(),
        ready: options.ready.clone(),
    })
}

/// Loads the new files of one table: one commit to bronze, then the load log. `published` is the version that readers are shown.
async fn load_table(
    workspace: &Arc<Workspace>,
    log: &LoadLog,
    mut plan: TablePlan,
    reload: bool,
    published: Option<u64>,
) -> Result<TableOutcome, LoadError> {
    let mut outcome = TableOutcome::default();
    if reload {
        outcome.reloaded = reload::reload(workspace, log, &plan, &mut outcome.warnings).await?;
    }
    outcome.warnings.extend(reading::settle(workspace, &plan.label, &plan.name, &mut plan.table).await?);
    let plan = &plan;
    let source_error = |error| LoadError::Source { table: plan.label.clone(), error };
    let (table, base) = (plan.table.clone(), plan.base.clone());
    let mut found: Vec<FoundFile> =
        tokio::task::spawn_blocking(move || wardlake_connect::discover(&table, &base)).await?.map_err(source_error)?;
    if let Some(ReadyCheck(ready)) = &plan.ready {
        found.retain(|file| ready(file));
    }
    // What is fed otherwise need not have files.
    let is_fed = plan.table.live_kinds().next().is_some();
    if found.is_empty() && !is_fed && !log.knows(&plan.label) {
        outcome.warnings.push("no file matches; check `root` and `path` in its source file".to_owned());
    }
    // The log says what was loaded, and the table whether it is there.
    let newest = workspace.lake.newest_version(&plan.name).await?;
    let is_gone = !found.is_empty() && log.knows(&plan.label) && newest.is_none();
    if is_gone {
        outcome.warnings.push(format!("the table {} is gone; all files are loaded again", plan.name));
    }
    let set_back = newest.zip(published).filter(|(newest, published)| newest < published);
    if let Some((newest, published)) = set_back {
        outcome.warnings.push(format!(
            "the newest commits of {} are gone: version {published} is published, and {newest} is the newest that is there; files are \
             loaded again where the table lacks them; build what reads it with --full-refresh",
            plan.name
        ));
    }
    let has_news = is_gone || set_back.is_some() || found.iter().any(|file| log.is_new(&plan.label, file));
    if has_news {
        load_news(workspace, log, plan, &found, set_back.is_some(), &mut outcome).await?;
    }
    outcome.version = workspace.lake.newest_version(&plan.name).await?;
    if outcome.version.is_none() {
        // No file, or none that could be loaded.
        bronze::create(workspace, &plan.label, &plan.name, &plan.table, &plan.columns, None).await?;
        outcome.version = workspace.lake.newest_version(&plan.name).await?;
    }
    Ok(outcome)
}

/// A load that another process was ahead of is made anew on what that one left, so many times.
const ATTEMPTS: u32 = 10;

/// Loads those of the found files that nobody has loaded.
async fn load_news(
    workspace: &Arc<Workspace>,
    log: &LoadLog,
    plan: &TablePlan,
    found: &[FoundFile],
    is_set_back: bool,
    outcome: &mut TableOutcome,
) -> Result<(), LoadError> {
    for _ in 0..ATTEMPTS {
        let snapshot = workspace.lake.snapshot(&plan.name, None).await?;
        let mut seen = log.repaired(workspace, plan, snapshot.as_ref()).await?;
        if snapshot.is_none() && log.knows(&plan.label) {
            seen = seen.lost();
        } else if is_set_back && let Some(snapshot) = &snapshot {
            seen = seen.set_back_to(&plan.label, &snapshot.consumed_all().await?);
        }
        let news: Vec<FoundFile> = found.iter().filter(|file| seen.is_new(file)).cloned().collect();
        if news.is_empty() {
            return Ok(());
        }
        let Some(loaded) = writer::load_files(workspace, plan, snapshot, seen, news).await? else { continue };
        outcome.bytes = loaded.files.iter().map(|file| file.load.bytes).sum();
        outcome.warnings.extend(loaded.warnings);
        outcome.failures = loaded.failures;
        outcome.loads = loaded.files.iter().map(|file| file.load.clone()).collect();
        for load in &outcome.loads {
            workspace.events.tell(RunEvent::FileLoaded { load: load.clone() });
        }
        return log::append(workspace, plan, &loaded.files).await;
    }
    Err(StorageError::Conflict { table: plan.name.to_string(), attempts: ATTEMPTS }.into())
}

async fn finish(
    workspace: &Arc<Workspace>,
    base: &BTreeMap<TableName, u64>,
    results: Vec<NodeResult>,
    started: Instant,
) -> Result<RunSummary, LoadError> {
    let mut totals = Totals::default();
    let mut changes = Changes::default();
    for result in &results {
        totals.count(result.status);
        if let (Some(version), Some(Ok(name))) = (result.version, result.relation.as_ref().map(|name| name.parse())) {
            changes.tables.insert(name, version);
        }
    }
    // What was loaded is true whether or not another source failed.
    let published = publish::publish(workspace, base, changes, serde_json::json!({"command": "ingest"})).await;
    let epoch = published.as_ref().ok().copied().flatten();
    if let Some(epoch) = epoch {
        workspace.events.tell(RunEvent::EpochPublished { epoch });
    }
    let summary = RunSummary { results, totals, epoch, duration_s: started.elapsed().as_secs_f64() };
    let recorded = system::record_run(&workspace.lake, &workspace.run_id, "ingest", &summary).await;
    // A lake that cannot be written any more does not hide what became of the sources.
    workspace.events.tell(RunEvent::RunFinished {
        run_id: workspace.run_id.clone(),
        at: Utc::now(),
        totals,
        duration_s: summary.duration_s,
        unpublished: published.is_err().then(|| "the epoch could not be written".to_owned()),
    });
    published?;
    recorded?;
    Ok(summary)
}
