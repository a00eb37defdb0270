//! From arguments to an opened project and lake.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value as Json};
use tokio::task::JoinHandle;
use wardlake_core::{Diagnostics, TableName};
use wardlake_engine::{Engine, EngineOptions, ReadState, Session};
use wardlake_load::Workspace;
use wardlake_project::{LoadOptions, Project, Target};
use wardlake_records::{EventSink, system};
use wardlake_storage::{Epoch, Lake};

use crate::{
    args::GlobalArgs,
    failure::{Failure, has_problems, tell_problems},
    json_log, printing,
    teller::LogFormat,
    terminal,
};

/// The commands that show what is odd in the project: those that check it and those that run its nodes. Whoever only looks at what
/// is there has read it before.
const SHOW_WARNINGS: [&str; 10] =
    ["parse", "compile", "ingest", "build", "run", "test", "seed", "snapshot", "serve", "debug"];

/// Reads and checks the project; tells what is odd in it where that is of use.
pub(crate) fn project(global: &GlobalArgs, which: &str, full_refresh: bool) -> Result<Arc<Project>, Failure> {
    let refused = |diagnostics: Diagnostics| {
        tell_problems(&diagnostics, &global.project_dir, &global.teller);
        Failure::Usage(format!("{}; nothing was run", has_problems(&diagnostics)))
    };
    let project = Project::load(load_options(global, which, full_refresh)?).map_err(refused)?;
    if !SHOW_WARNINGS.contains(&which) {
        return Ok(Arc::new(project));
    }
    let of_sources = wardlake_load::check_sources(&project);
    if of_sources.has_errors() {
        return Err(refused(of_sources));
    }
    if !project.warnings().is_empty() && !global.quiet {
        tell_problems(&Diagnostics(project.warnings().to_vec()), &global.project_dir, &global.teller);
    }
    Ok(Arc::new(project))
}

fn load_options(global: &GlobalArgs, which: &str, full_refresh: bool) -> Result<LoadOptions, Failure> {
    let mut options = LoadOptions::new(&global.project_dir);
    options.target.clone_from(&global.target);
    options.lake.clone_from(&global.lake);
    options.vars = vars(global)?;
    options.threads = global.threads.map(usize::from);
    options.full_refresh = full_refresh;
    options.which = which.to_owned();
    let asked = global.asked.clone();
    options.env = Arc::new(move |name: &str| asked.look_up(name));
    let teller = global.teller.clone();
    options.log = Arc::new(move |text| teller.message(text));
    Ok(options)
}

fn vars(global: &GlobalArgs) -> Result<Map<String, Json>, Failure> {
    match &global.vars {
        None => Ok(Map::new()),
        Some(text) => wardlake_project::parse_vars(text).map_err(|problem| Failure::Usage(problem.to_string())),
    }
}

/// An opened workspace and the task that tells what happens in it.
pub(crate) struct Opened {
    pub(crate) workspace: Arc<Workspace>,
    pub(crate) threads: usize,
    reader: JoinHandle<()>,
}

impl Opened {
    /// Opens the project's lake and starts the reader of its events.
    pub(crate) async fn open(global: &GlobalArgs, project: Arc<Project>) -> Result<Self, Failure> {
        let (events, stream) = EventSink::channel();
        let (teller, target) = (global.teller.of_run(), project.target().name.clone());
        // On a thread that may wait: whoever reads slowly, or not at all, keeps no other task from its work.
        let reader = tokio::task::spawn_blocking(move || match teller.format {
            LogFormat::Text => terminal::read(stream, teller, target),
            LogFormat::Json => json_log::read(stream, &teller),
        });
        let workspace = open_workspace(project, events).await?;
        let threads = workspace.project.target().threads;
        Ok(Self { workspace: Arc::new(workspace), threads, reader })
    }

    /// Waits until everything that happened has been told.
    pub(crate) async fn close(self) {
        drop(self.workspace);
        let _ = self.reader.await;
    }
}

/// A workspace whose events nobody reads, for commands that only look.
pub(crate) async fn quiet_workspace(project: Arc<Project>) -> Result<Workspace, Failure> {
    open_workspace(project, EventSink::channel().0).await
}

async fn open_workspace(project: Arc<Project>, events: EventSink) -> Result<Workspace, Failure> {
    let options = engine_options(project.target());
    let lake = project.lake_url().to_owned();
    let run_id = project.options().invocation_id.clone();
    Ok(Workspace::open(project, &lake, options, events, run_id).await?)
}

fn engine_options(target: &Target) -> EngineOptions {
    let defaults = EngineOptions::default();
    EngineOptions {
        memory_limit_bytes: target
            .memory_limit_bytes
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(defaults.memory_limit_bytes),
        threads: defaults.threads,
        default_schema: target.schema.clone(),
        ..defaults
    }
}

/// A session for a command that only reads: on the project's lake, or, without a project here, on the lake that is named.
pub(crate) async fn reader(
    global: &GlobalArgs,
    which: &str,
    epoch: Option<u64>,
    working: bool,
) -> Result<Session, Failure> {
    reader_of(global, which, BTreeMap::new(), epoch, working).await
}

/// As [`reader`], for who reads a table that is not there: what the project's sources are loaded into is empty until then. None where no project
/// can be read. Reading it takes longer than most queries do.
pub(crate) async fn expecting_reader(
    global: &GlobalArgs,
    which: &str,
    epoch: Option<u64>,
    working: bool,
) -> Result<Option<Session>, Failure> {
    if !has_project(global) {
        return Ok(None);
    }
    let Ok(project) = Project::load(load_options(global, which, false)?) else { return Ok(None) };
    Ok(Some(reader_of(global, which, wardlake_load::loaded_tables(&project), epoch, working).await?))
}

/// `expected`: tables that are empty as long as they are not there, with their columns.
async fn reader_of(
    global: &GlobalArgs,
    which: &str,
    expected: BTreeMap<TableName, Vec<String>>,
    epoch: Option<u64>,
    working: bool,
) -> Result<Session, Failure> {
    let (lake, options) = lake_and_limits(global, which).await?;
    let own = system::relations().map_err(wardlake_load::LoadError::from)?;
    let engine = Engine::new(Arc::clone(&lake), options)?.expecting(expected, own);
    Ok(engine.session(wardlake_load::local_viewer(), state_of(&lake, epoch, working).await?).await?)
}

/// The lake alone: the project's, or, without a project here, the one that is named.
pub(crate) async fn lake(global: &GlobalArgs, which: &str) -> Result<Arc<Lake>, Failure> {
    Ok(lake_and_limits(global, which).await?.0)
}

/// The id of this invocation where no workspace gives it one.
pub(crate) fn run_id(global: &GlobalArgs) -> String {
    LoadOptions::new(&global.project_dir).invocation_id
}

async fn lake_and_limits(global: &GlobalArgs, which: &str) -> Result<(Arc<Lake>, EngineOptions), Failure> {
    match &global.lake {
        _ if has_project(global) => {
            let target = target(global, which)?;
            Ok((Lake::open(&target.lake).await?, engine_options(&target)))
        }
        Some(url) => Ok((Lake::open_existing(url).await?, EngineOptions::default())),
        None => {
            let folder = global.project_dir.display();
            Err(Failure::Usage(format!(
                "there is no dbt_project.yml in {folder}; name a project with --project-dir, or a lake with --lake"
            )))
        }
    }
}

/// The project's target, also of a project that has problems: its tables are there all the same. Says how many problems it has.
fn target(global: &GlobalArgs, which: &str) -> Result<Target, Failure> {
    let options = load_options(global, which, false)?;
    let target = Target::of(&options)?;
    if let Err(problems) = Project::load(options) {
        let text = format!("{}, which `wardlake parse` shows; the lake is read as it is", has_problems(&problems));
        match global.log_format {
            LogFormat::Text if global.quiet => {}
            LogFormat::Text => printing::err(format_args!("note: {text}")),
            LogFormat::Json => global.teller.message(&text),
        }
    }
    Ok(target)
}

fn has_project(global: &GlobalArgs) -> bool {
    global.project_dir.join("dbt_project.yml").exists()
}

/// What a reader sees: the newest epoch, a named one, or the unpublished working state.
pub(crate) async fn read_state(workspace: &Workspace, epoch: Option<u64>, working: bool) -> Result<ReadState, Failure> {
    state_of(&workspace.lake, epoch, working).await
}

async fn state_of(lake: &Lake, epoch: Option<u64>, working: bool) -> Result<ReadState, Failure> {
    if working {
        return Ok(ReadState::Working);
    }
    let epoch = match epoch {
        Some(number) => lake.epoch(number).await?,
        None => {
            let newest = lake.newest_epoch().await?;
            if let Some(text) = lake.unreadable_epoch(newest.as_ref()) {
                printing::err(format_args!("warning: {text}"));
            }
            newest.unwrap_or_else(before_the_first)
        }
    };
    Ok(ReadState::Epoch(Arc::new(epoch)))
}

/// Nothing is published yet: readers see an empty lake.
fn before_the_first() -> Epoch {
    Epoch {
        number: 0,
        published_at: chrono::DateTime::UNIX_EPOCH,
        run_id: String::new(),
        parent: None,
        tables: Default::default(),
        views: Default::default(),
        gates: Json::Null,
        rollback_of: None,
        withdrawn: Default::default(),
    }
}
