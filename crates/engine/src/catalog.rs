//! The lake as DataFusion's catalog: every query resolves its tables against one [`ReadState`], asynchronously, when it
//! is planned.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    sync::{Arc, RwLock, Weak},
};

use async_trait::async_trait;
use datafusion::{
    catalog::{CatalogProvider, SchemaProvider, TableProvider},
    datasource::ViewTable,
    error::DataFusionError,
    execution::context::SessionContext,
};
use wardlake_core::TableName;
use wardlake_storage::{Epoch, Lake, TableSnapshot};

use crate::{
    EngineError,
    expected::{self, Expected},
    memory::MemoryTable,
    recurring::RecurringOf,
    scan::LakeScan,
    session::one_statement,
};

/// The catalog's name in SQL.
pub(crate) const CATALOG: &str = "lake";

/// Most views that read one another, and more than anybody has: what they make of a plan is bounded as well.
const MOST_VIEWS: usize = 64;

tokio::task_local! {
    /// The views that are being looked up, each for the one before.
    static WITHIN: Vec<TableName>;
}

/// Which versions a session reads.
#[derive(Clone, Debug)]
pub enum ReadState {
    /// The newest version of every table and the working view definitions: what a build works on.
    Working,
    /// Exactly the versions and views an epoch names.
    Epoch(Arc<Epoch>),
    /// What a build reads: the working state of the tables and views it writes itself, the epoch's for the rest, so that
    /// nothing is built on rows whose gates failed.
    Build {
        /// The newest epoch; none before the first one.
        epoch: Option<Arc<Epoch>>,
        /// What the build writes.
        working: Arc<BTreeSet<TableName>>,
    },
}

/// Schemas of the lake's own tables: records of runs and loads, and what audits withheld and found. They belong to no epoch
/// and are read as they are.
const RECORD_SCHEMAS: [&str; 3] = ["system", "quarantine", "audit"];

/// Where one name is read.
enum Place<'a> {
    Newest,
    Version(u64),
    View(&'a str),
    Nowhere,
}

impl ReadState {
    fn place(&self, name: &TableName) -> Place<'_> {
        let in_epoch = |epoch: &'_ Epoch| -> Option<Place<'static>> {
            epoch.tables.get(name).map(|version| Place::Version(*version))
        };
        if RECORD_SCHEMAS.contains(&name.schema()) {
            return Place::Newest;
        }
        match self {
            Self::Working | Self::Build { epoch: None, .. } => Place::Newest,
            Self::Epoch(epoch) => match epoch.views.get(name) {
                Some(sql) => Place::View(sql),
                None => in_epoch(epoch).unwrap_or(Place::Nowhere),
            },
            Self::Build { working, .. } if working.contains(name) => Place::Newest,
            // A table no epoch names yet (a first load that was never published) is read as it is.
            Self::Build { epoch: Some(epoch), .. } => match epoch.views.get(name) {
                Some(sql) => Place::View(sql),
                None => in_epoch(epoch).unwrap_or(Place::Newest),
            },
        }
    }
}

/// Resolves names of one session. Views are planned by the session itself, hence the way back to it.
pub(crate) struct LakeCatalog {
    lake: Arc<Lake>,
    state: ReadState,
    context: RwLock<Weak<ContextHolder>>,
    overlays: RwLock<HashMap<TableName, Arc<dyn TableProvider>>>,
    names: RwLock<BTreeSet<TableName>>,
    /// Views that were resolved, and their SQL.
    views: RwLock<HashSet<(TableName, String)>>,
    /// Small tables are in memory.
    recurring: Option<Arc<RecurringOf>>,
    /// What is read as empty as long as it is not there.
    expected: Arc<Expected>,
    /// Further names of such tables.
    stand_ins: RwLock<HashMap<TableName, TableName>>,
}

/// Owns the session's context, so that the catalog inside it can point back without a cycle of strong references.
pub(crate) struct ContextHolder(pub(crate) SessionContext);

impl fmt::Debug for LakeCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LakeCatalog").field("lake", &self.lake.url().as_str()).finish_non_exhaustive()
    }
}

impl LakeCatalog {
    pub(crate) fn new(
        lake: Arc<Lake>,
        state: ReadState,
        recurring: Option<Arc<RecurringOf>>,
        expected: Arc<Expected>,
    ) -> Arc<Self> {
        Arc::new(Self {
            lake,
            state,
            context: RwLock::new(Weak::new()),
            overlays: RwLock::default(),
            names: RwLock::default(),
            views: RwLock::default(),
            recurring,
            expected,
            stand_ins: RwLock::default(),
        })
    }

    pub(crate) fn connect(&self, context: &Arc<ContextHolder>) {
        *write(&self.context) = Arc::downgrade(context);
    }

    /// Puts a table before the lake's own of that name, for this session only.
    pub(crate) fn overlay(&self, name: TableName, provider: Arc<dyn TableProvider>) {
        write(&self.overlays).insert(name, provider);
    }

    /// Puts the empty relation of a table that is still to come before the lake's tables, under a name.
    pub(crate) fn stand_in(&self, name: TableName, of: TableName) {
        write(&self.stand_ins).insert(name, of);
    }

    /// Whether the table is a source's of which nothing was ever loaded.
    pub(crate) async fn is_to_come(&self, name: &TableName) -> Result<bool, EngineError> {
        let is_expected = self.expected.knows(name) && !read(&self.overlays).contains_key(name);
        Ok(is_expected && self.view_sql(name).await?.is_none() && self.snapshot(name).await?.is_none())
    }

    /// All tables and views of the state, read anew.
    pub(crate) async fn refresh_names(&self) -> Result<BTreeSet<TableName>, EngineError> {
        let mut names: BTreeSet<TableName> = self.lake.table_names().await?.into_iter().collect();
        match &self.state {
            ReadState::Epoch(epoch) => {
                names.retain(|name| RECORD_SCHEMAS.contains(&name.schema()));
                names.extend(epoch.tables.keys().chain(epoch.views.keys()).cloned());
            }
            ReadState::Working | ReadState::Build { .. } => {
                names.extend(self.lake.views().await?.into_iter().map(|(name, _)| name));
            }
        }
        names.extend(read(&self.overlays).keys().cloned());
        write(&self.names).clone_from(&names);
        Ok(names)
    }

    /// The SQL of a view, if the name is one.
    pub(crate) async fn view_sql(&self, name: &TableName) -> Result<Option<String>, EngineError> {
        Ok(match self.state.place(name) {
            Place::Newest => self.lake.view(name).await?.map(|view| view.sql),
            Place::View(sql) => Some(sql.to_owned()),
            Place::Version(_) | Place::Nowhere => None,
        })
    }

    /// The table as this state has it; none for views and unknown names.
    pub(crate) async fn snapshot(&self, name: &TableName) -> Result<Option<TableSnapshot>, EngineError> {
        let version = match self.state.place(name) {
            Place::Newest => None,
            Place::Version(version) => Some(version),
            Place::View(_) | Place::Nowhere => return Ok(None),
        };
        Ok(self.lake.snapshot(name, version).await?)
    }

    /// The views that were resolved so far, and their SQL.
    pub(crate) fn views_read(&self) -> HashSet<(TableName, String)> {
        read(&self.views).clone()
    }

    /// The version of a table in this state: none if it is not there.
    pub(crate) async fn provider(&self, name: &TableName) -> Result<Option<Arc<dyn TableProvider>>, EngineError> {
        if let Some(provider) = read(&self.overlays).get(name) {
            return Ok(Some(Arc::clone(provider)));
        }
        if let Some(of) = read(&self.stand_ins).get(name) {
            return Ok(self.expected.relation(of, name));
        }
        let Some(holder) = read(&self.context).upgrade() else { return Ok(None) };
        if let Some(sql) = self.view_sql(name).await? {
            let within = within(name)?;
            let statement = one_statement(&sql)?;
            // In a task of its own: however many views read one another, each begins with an empty stack.
            let planning = async move { expected::plan(&holder.0, statement).await };
            let planned = tokio::spawn(WITHIN.scope(within, planning)).await;
            let plan = planned.map_err(|_| EngineError::Plan {
                message: format!("the query of view `{name}` ended before it was planned"),
            })??;
            write(&self.views).insert((name.clone(), sql.clone()));
            return Ok(Some(Arc::new(ViewTable::new(plan, Some(sql)))));
        }
        let Some(snapshot) = self.snapshot(name).await? else { return Ok(self.expected.relation(name, name)) };
        if let Some(recurring) = &self.recurring
            && let Some(rows) = recurring.held.table(&snapshot).await?
        {
            return Ok(Some(Arc::new(MemoryTable::held(name.clone(), &snapshot, rows))));
        }
        Ok(Some(LakeScan::around(snapshot.provider(&holder.0.state()).await?)))
    }
}

/// The views that are being looked up, with this one.
fn within(view: &TableName) -> Result<Vec<TableName>, EngineError> {
    // Outside of any view there are none.
    let mut views = WITHIN.try_with(Clone::clone).unwrap_or_default();
    let first = views.iter().position(|other| other == view);
    views.push(view.clone());
    match first {
        Some(first) => Err(EngineError::ViewCycle { views: views.split_off(first) }),
        None if views.len() > MOST_VIEWS => Err(EngineError::Plan {
            message: format!(
                "more than {MOST_VIEWS} views read one another, down to `{view}`; materialize one of them as a table"
            ),
        }),
        None => Ok(views),
    }
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// DataFusion's view of [`LakeCatalog`].
#[derive(Debug)]
pub(crate) struct CatalogAdapter(pub(crate) Arc<LakeCatalog>);

impl CatalogProvider for CatalogAdapter {
    fn schema_names(&self) -> Vec<String> {
        let names = read(&self.0.names);
        names.iter().map(|name| name.schema().to_owned()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        Some(Arc::new(SchemaAdapter { catalog: Arc::clone(&self.0), schema: name.to_owned() }))
    }
}

#[derive(Debug)]
struct SchemaAdapter {
    catalog: Arc<LakeCatalog>,
    schema: String,
}

#[async_trait]
impl SchemaProvider for SchemaAdapter {
    fn table_names(&self) -> Vec<String> {
        let names = read(&self.catalog.names);
        names.iter().filter(|name| name.schema() == self.schema).map(|name| name.name().to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Ok(name) = TableName::new(&self.schema, name) else { return Ok(None) };
        self.catalog.provider(&name).await.map_err(|error| DataFusionError::External(Box::new(error)))
    }

    fn table_exist(&self, name: &str) -> bool {
        read(&self.catalog.names).iter().any(|known| known.schema() == self.schema && known.name() == name)
    }
}
