//! A project, its lake and its engine, opened together for one invocation.

use std::{collections::BTreeMap, env, sync::Arc};

use wardlake_access::Viewer;
use wardlake_core::TableName;
use wardlake_engine::{Engine, EngineOptions};
use wardlake_project::{Project, Source};
use wardlake_records::{EventSink, system};
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
        let engine = Engine::new(Arc::clone(&lake), options)?;
        let engine = Arc::new(engine.expecting(loaded_tables(&project), system::relations()?));
        Ok(Self { project, lake, engine, events, run_id })
    }

    /// Tells of sources that were read although nothing was ever loaded of them, each once in this process: what reads them reads nothing.
    pub fn tell_missing(&self) {
        for name in self.engine.missing_read() {
            let is_of = |source: &&Source| source.relation.table_name().as_ref() == Some(&name);
            let Some(source) = self.project.sources().values().find(is_of) else { continue };
            let columns = match source.columns.is_empty() {
                true => {
                    "its columns are unknown, and those that are asked for count as text; describe them under `columns`"
                }
                false => "its columns are those that are described and those that are asked for, all of them text",
            };
            self.events.warn(format!(
                "source {}.{} was never loaded and is read as an empty table: {columns}, or load it",
                source.source_name, source.name
            ));
        }
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

/// The tables that sources are loaded into, and the columns that are described of them.
pub fn loaded_tables(project: &Project) -> BTreeMap<TableName, Vec<String>> {
    let loaded = project.sources().values().filter(|source| !source.wardlake.is_empty());
    let table = |source: &Source| {
        let described: Vec<String> = source.columns.iter().map(|column| column.name.clone()).collect();
        Some((source.relation.table_name()?, described))
    };
    loaded.filter_map(table).collect()
}
