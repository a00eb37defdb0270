//! A project, its lake and its engine, opened together for one invocation.

use std::{env, sync::Arc};

use wardlake_access::Viewer;
use wardlake_engine::{Engine, EngineOptions};
use wardlake_project::Project;
use wardlake_records::EventSink;
use wardlake_storage::Lake;

use crate::error::LoadError;

/// What every command works on.
pub struct Workspace {
    /// The validated project.
    pub project: Arc<Project>,
    /// Its lake.
    pub lake: Arc<Lake>,
    /// SQL over the lake.
    pub engine: Arc<Engine>,
    /// Where this invocation tells what happens.
    pub events: EventSink,
    /// This invocation.
    pub run_id: String,
}

impl Workspace {
    /// Opens the lake the project's target names.
    pub async fn open(
        project: Arc<Project>,
        lake_url: &str,
        options: EngineOptions,
        events: EventSink,
        run_id: String,
    ) -> Result<Self, LoadError> {
        let lake = Lake::open(lake_url).await?;
        let engine = Arc::new(Engine::new(Arc::clone(&lake), options)?);
        Ok(Self { project, lake, engine, events, run_id })
    }

    /// The same for another run of this process: it has an id of its own, under which its records are kept, and tells `events`
    /// what happens.
    pub fn another_run(&self, events: EventSink) -> Self {
        Self {
            project: Arc::clone(&self.project),
            lake: Arc::clone(&self.lake),
            engine: Arc::clone(&self.engine),
            events,
            run_id: uuid::Uuid::new_v4().to_string(),
        }
    }

    /// The same for work that can wait.
    pub fn for_waiting_work(&self) -> Self {
        Self { engine: Arc::new(self.engine.for_waiting_work()), ..self.another_run(self.events.clone()) }
    }
}

/// Who runs this program, as a viewer: the reader behind its commands.
pub fn local_viewer() -> Viewer {
    // A name to tell people apart by, and no proof: who runs the program can read the files of the lake without it.
    let named = |variable: &str| env::var(variable).ok().filter(|name| !name.is_empty());
    let user = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(named);
    Viewer::Owner { user: user.unwrap_or_else(|| "unknown".to_owned()).into() }
}
