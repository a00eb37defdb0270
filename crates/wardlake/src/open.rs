//! From arguments to an opened project and lake.

use std::sync::Arc;

use serde_json::{Map, Value as Json};
use tokio::task::JoinHandle;
use wardlake_engine::{Engine, EngineOptions, ReadState, Session};
use wardlake_project::{LoadOptions, Project};
use wardlake_runner::{EventSink, Workspace};
use wardlake_storage::{Epoch, Lake};

use crate::{
    args::{GlobalArgs, LogFormat},
    failure::{Failure, print_diagnostics},
    json_log, terminal,
};

/// Reads and checks the project; prints its warnings.
pub(crate) fn project(global: &GlobalArgs, which: &str, full_refresh: bool) -> Result<Arc<Project>, Failure> {
    let mut options = LoadOptions::new(&global.project_dir);
    options.target.clone_from(&global.target);
    options.lake.clone_from(&global.lake);
    options.vars = vars(global)?;
    options.threads = global.threads.map(usize::from);
    options.full_refresh = full_refresh;
    options.which = which.to_owned();
    let (quiet, format) = (global.quiet, global.log_format);
    options.log = Arc::new(move |text| {
        if !quiet {
            match format {
                LogFormat::Text => terminal::print_line(text),
                LogFormat::Json => json_log::print_message(text),
            }
        }
    });
    let project = Project::load(options).map_err(|diagnostics| {
        print_diagnostics(&diagnostics, &global.project_dir);
        Failure::Usage("the project has errors; nothing was run".to_owned())
    })?;
    if !project.warnings().is_empty() && !quiet {
        print_diagnostics(&wardlake_core::Diagnostics(project.warnings().to_vec()), &global.project_dir);
    }
    Ok(Arc::new(project))
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
        let reader = match global.log_format {
            LogFormat::Text => tokio::spawn(terminal::read(stream, global.quiet, project.target().name.clone())),
            LogFormat::Json => tokio::spawn(json_log::read(stream)),
        };
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
    let target = project.target();
    let defaults = EngineOptions::default();
    let options = EngineOptions {
        memory_limit_bytes: target
            .memory_limit_bytes
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(defaults.memory_limit_bytes),
        threads: defaults.threads,
        default_schema: target.schema.clone(),
        ..defaults
    };
    let lake = project.lake_url().to_owned();
    let run_id = project.options().invocation_id.clone();
    Ok(Workspace::open(project, &lake, options, events, run_id).await?)
}

/// A session for a command that only reads: on the project's lake, or, without a project here, on the lake that is named.
pub(crate) async fn reader(
    global: &GlobalArgs,
    which: &str,
    epoch: Option<u64>,
    working: bool,
) -> Result<Session, Failure> {
    let (lake, engine) = match &global.lake {
        Some(url) if !has_project(global) => {
            let lake = Lake::open_existing(url).await?;
            let engine = Engine::new(Arc::clone(&lake), EngineOptions::default())?;
            (lake, Arc::new(engine))
        }
        None if !has_project(global) => {
            let folder = global.project_dir.display();
            let text = format!(
                "there is no dbt_project.yml in {folder}; name a project with --project-dir, or a lake with --lake"
            );
            return Err(Failure::Usage(text));
        }
        _ => {
            let workspace = quiet_workspace(project(global, which, false)?).await?;
            (workspace.lake, workspace.engine)
        }
    };
    Ok(engine.session(state_of(&lake, epoch, working).await?).await?)
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
        None => lake.newest_epoch().await?.unwrap_or_else(before_the_first),
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
    }
}
