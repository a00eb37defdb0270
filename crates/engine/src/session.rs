//! Engine → session → query → rows.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::Arc,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    catalog::TableProvider,
    common::{Column, JoinType},
    dataframe::DataFrame,
    error::DataFusionError,
    execution::{
        SendableRecordBatchStream, SessionStateBuilder,
        context::{SQLOptions, SessionContext},
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::{FairSpillPool, TrackConsumersPool},
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    logical_expr::{Expr, LogicalPlan, Volatility, cast},
    physical_plan::{
        ExecutionPlan, collect, displayable, execute_stream, execute_stream_partitioned,
        execution_plan::reset_plan_states, stream::RecordBatchStreamAdapter,
    },
    prelude::SessionConfig,
    sql::{
        parser::Statement,
        sqlparser::ast::{Expr as SqlExpr, ObjectNamePart, visit_expressions},
    },
};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::{Mutex, OwnedMutexGuard};
use wardlake_access::Viewer;
use wardlake_core::{TableName, did_you_mean};
use wardlake_storage::{HeldRows, Lake, StorageError, TableSnapshot};

use crate::{
    EngineError, EngineOptions,
    catalog::{CATALOG, CatalogAdapter, ContextHolder, LakeCatalog, ReadState},
    depth, dialect, error,
    expected::{self, Expected},
    functions, join_sides,
    memory::{MemoryTable, conform},
    recurring::{Recurring, RecurringOf, Run, Step},
    scan::LakeScan,
    share::Share,
};

/// Rows that operators hand on at once.
pub(crate) const BATCH_ROWS: usize = 8192;

/// One machine's share of memory, threads and spill space over one lake.
#[derive(Clone)]
pub struct Engine {
    lake: Arc<Lake>,
    runtime: Arc<RuntimeEnv>,
    waiting: Waiting,
    /// The turns of work that can wait, if it is for that.
    turns: Option<Arc<Mutex<()>>>,
    options: EngineOptions,
    recurring: Arc<Recurring>,
    expected: Arc<Expected>,
}

/// What all work that can wait shares.
#[derive(Clone)]
struct Waiting {
    /// The engine's with a part of the memory.
    runtime: Arc<RuntimeEnv>,
    turns: Arc<Mutex<()>>,
}

impl Engine {
    /// Prepares memory pool and spill folder.
    pub fn new(lake: Arc<Lake>, options: EngineOptions) -> Result<Self, EngineError> {
        let pool = TrackConsumersPool::new(
            FairSpillPool::new(options.memory_limit_bytes),
            std::num::NonZeroUsize::new(3).unwrap_or(std::num::NonZeroUsize::MIN),
        );
        let mode = match &options.spill_dir {
            Some(dir) => DiskManagerMode::Directories(vec![dir.clone()]),
            None => DiskManagerMode::OsTmpDirectory,
        };
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(
                DiskManagerBuilder::default().with_mode(mode).with_max_temp_directory_size(options.max_spill_bytes),
            )
            .build_arc()?;
        let share = Share::new(Arc::clone(&runtime.memory_pool), options.memory_limit_bytes / 2);
        let waiting = Waiting {
            runtime: RuntimeEnvBuilder::from_runtime_env(&runtime).with_memory_pool(Arc::new(share)).build_arc()?,
            turns: Arc::default(),
        };
        Ok(Self { lake, runtime, waiting, turns: None, options, recurring: Arc::default(), expected: Arc::default() })
    }

    /// The same engine where tables are read as empty ones as long as they are not there: `tables` of sources, with the columns that are
    /// described of them, and the lake's `own`, with all of theirs.
    #[must_use]
    pub fn expecting(self, tables: BTreeMap<TableName, Vec<String>>, own: BTreeMap<TableName, SchemaRef>) -> Self {
        Self { expected: Arc::new(Expected::new(tables, own)), ..self }
    }

    /// The tables of sources that were read as empty ones because they are not there; each is named once.
    pub fn missing_read(&self) -> Vec<TableName> {
        self.expected.newly_read()
    }

    /// The same engine for work that can wait: all of it together takes half of the memory at most, and what reads much does so by turns.
    pub fn for_waiting_work(&self) -> Self {
        let Waiting { runtime, turns } = self.waiting.clone();
        Self { runtime, turns: Some(turns), ..self.clone() }
    }

    /// Waits for the turn, which lasts until it is dropped: what work that can wait takes of the memory, it takes one after the other.
    /// Nobody waits for a turn with an engine for other work.
    pub async fn turn(&self) -> Option<OwnedMutexGuard<()>> {
        match &self.turns {
            Some(turns) => Some(Arc::clone(turns).lock_owned().await),
            None => None,
        }
    }

    /// The lake it reads.
    pub fn lake(&self) -> &Arc<Lake> {
        &self.lake
    }

    /// The limits it was made with.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// A session in which `viewer` sees exactly one state of the lake.
    pub async fn session(&self, viewer: Viewer, state: ReadState) -> Result<Session, EngineError> {
        self.open(viewer, state, None)
    }

    /// A session for queries over little data that come again and again: they are planned once, in one partition, what they read
    /// several times is worked out once, and small tables are in memory. Sessions of one viewer share all that.
    pub fn recurring_session(&self, viewer: Viewer, state: ReadState) -> Result<Session, EngineError> {
        let recurring = Arc::new(self.recurring.of(&viewer));
        self.open(viewer, state, Some(recurring))
    }

    fn open(
        &self,
        viewer: Viewer,
        state: ReadState,
        recurring: Option<Arc<RecurringOf>>,
    ) -> Result<Session, EngineError> {
        let mut config = SessionConfig::new()
            .with_target_partitions(if recurring.is_some() { 1 } else { self.options.threads })
            .with_default_catalog_and_schema(CATALOG, &self.options.default_schema)
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(true)
            .with_batch_size(BATCH_ROWS);
        let settings = config.options_mut();
        settings.execution.parquet.pushdown_filters = false;
        settings.execution.time_zone = Some("+00:00".to_owned());
        settings.sql_parser.map_string_types_to_utf8view = true;
        settings.optimizer.repartition_file_min_size = 4 << 20;
        // Of a CASE whose branches ask for NULL the planner knows that it is not NULL, and the expression that runs does not (DataFusion's
        // `Expr::nullable` against `CaseExpr::nullable`, 55.2): the check refuses plans that are right.
        settings.execution.skip_physical_aggregate_schema_check = true;
        // Drawn out of projections above an unnest they come out twice under one name (DataFusion's PushDownLeafProjections, 55.2).
        settings.optimizer.enable_leaf_expression_pushdown = false;
        // The rules are for every session: a build holds the facts of the whole lake where a wave holds the news.
        let session_state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(Arc::clone(&self.runtime))
            .with_default_features()
            .with_physical_optimizer_rules(join_sides::rules(recurring.is_some()))
            .build();
        let context = SessionContext::new_with_state(session_state);
        functions::register_all(&context)?;
        let catalog = LakeCatalog::new(Arc::clone(&self.lake), state, recurring.clone(), Arc::clone(&self.expected));
        context.register_catalog(CATALOG, Arc::new(CatalogAdapter(Arc::clone(&catalog))));
        let holder = Arc::new(ContextHolder(context));
        catalog.connect(&holder);
        Ok(Session { viewer, holder, catalog, recurring })
    }
}

/// Runs queries of one viewer against one state of the lake. Cheap to clone, safe to share.
///
/// There is none without a viewer:
///
/// ```no_run,standalone_crate
/// # use wardlake_access::{SystemReason, Viewer};
/// # use wardlake_engine::{Engine, EngineError, ReadState, Session};
/// # async fn open(engine: &Engine) -> Result<[Session; 2], EngineError> {
/// let viewer = Viewer::System(SystemReason::Build);
/// let session = engine.session(viewer.clone(), ReadState::Working).await?;
/// let recurring = engine.recurring_session(viewer, ReadState::Working)?;
/// # Ok([session, recurring])
/// # }
/// ```
///
/// ```compile_fail,E0061
/// # use wardlake_engine::{Engine, EngineError, ReadState, Session};
/// # async fn open(engine: &Engine) -> Result<Session, EngineError> {
/// engine.session(ReadState::Working).await
/// # }
/// ```
///
/// ```compile_fail,E0061
/// # use wardlake_engine::{Engine, EngineError, ReadState, Session};
/// # fn open(engine: &Engine) -> Result<Session, EngineError> {
/// engine.recurring_session(ReadState::Working)
/// # }
/// ```
#[derive(Clone)]
pub struct Session {
    viewer: Viewer,
    holder: Arc<ContextHolder>,
    catalog: Arc<LakeCatalog>,
    recurring: Option<Arc<RecurringOf>>,
}

impl Session {
    /// Who reads by it.
    pub fn viewer(&self) -> &Viewer {
        &self.viewer
    }

    /// Plans a query. Anything but a query (DDL, DML, COPY, SET) is refused.
    pub async fn query(&self, sql: &str) -> Result<Query, EngineError> {
        let Some(recurring) = &self.recurring else {
            let plan = self.plan(one_statement(sql)?).await?;
            return Ok(Query { session: self.clone(), plan, prepared: None, run: None });
        };
        if let Some(query) = recurring.find(sql, self).await? {
            return Ok(query);
        }
        let mut statement = one_statement(sql)?;
        // `None` as soon as one step cannot come again.
        let mut steps = Some(Vec::new());
        self.share(&mut statement, &mut steps).await?;
        let Prepared { plan, physical, step } = self.prepare(None, statement).await?;
        if let (Some(mut steps), Some(step)) = (steps, step) {
            steps.push(step);
            recurring.keep(sql, steps, self.catalog.views_read());
        }
        Ok(Query::prepared(self, plan, physical, None))
    }

    async fn plan(&self, statement: Statement) -> Result<LogicalPlan, EngineError> {
        // Listing a lake costs more than most queries: only those that ask for the list wait for it.
        if asks_for_names(&statement) {
            self.catalog.refresh_names().await?;
        }
        let plan = match expected::plan(&self.holder.0, statement).await {
            Ok(plan) => plan,
            Err(error) => return Err(self.explain_missing_table(error.into()).await),
        };
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&plan)
            .map_err(|error| EngineError::NotAQuery { message: refused(&error.strip_backtrace()) })?;
        depth::check(&plan)?;
        Ok(plan)
    }

    /// Plans a statement down to how it runs; its rows go to the table `output`, or are the query's own.
    async fn prepare(&self, output: Option<TableName>, statement: Statement) -> Result<Prepared, EngineError> {
        let state = self.holder.0.state();
        let planned = self.plan(statement).await?;
        let plan = state.optimize(&planned)?;
        depth::check(&plan)?;
        let physical = state.query_planner().create_physical_plan(&plan, &state).await?;
        let step = Step::new(output, &planned, &plan, &physical)?;
        Ok(Prepared { plan, physical, step })
    }

    /// Works a statement out as a table of the session.
    pub(crate) async fn prepare_into(
        &self,
        output: &TableName,
        statement: Statement,
    ) -> Result<Option<Step>, EngineError> {
        let Prepared { physical, step, .. } = self.prepare(Some(output.clone()), statement).await?;
        self.run_into(output, &physical).await?;
        Ok(step)
    }

    /// Runs a plan; its rows are a table of the session.
    pub(crate) async fn run_into(
        &self,
        output: &TableName,
        plan: &Arc<dyn ExecutionPlan>,
    ) -> Result<MemoryTable, EngineError> {
        let plan = reset_plan_states(Arc::clone(plan))?;
        let schema = plan.schema();
        let rows = collect(plan, self.holder.0.task_ctx()).await?;
        let table = MemoryTable::new(output.clone(), Arc::clone(&schema), conform(rows, &schema)?);
        self.overlay(output.clone(), Arc::new(table.clone()));
        Ok(table)
    }

    /// A table of this session whose rows are in memory.
    pub(crate) async fn memory_table(&self, name: &TableName) -> Result<Option<MemoryTable>, EngineError> {
        let provider = self.catalog.provider(name).await?;
        Ok(provider.and_then(|provider| MemoryTable::of(provider.as_ref()).cloned()))
    }

    /// Puts the rows that were added to a table after `version` before the session, under a name.
    pub async fn overlay_appended(
        &self,
        name: TableName,
        of: &TableSnapshot,
        version: Option<u64>,
    ) -> Result<(), EngineError> {
        if let Some(recurring) = &self.recurring
            && let Some(rows) = recurring.held.appended_since(of, version).await?
        {
            self.overlay(name.clone(), Arc::new(MemoryTable::held(name, of, rows)));
            return Ok(());
        }
        let rows = of.appended_since(version, &self.holder.0.state()).await?;
        self.overlay(name, LakeScan::around(rows));
        Ok(())
    }

    /// Puts no rows before the session, under a name, if `of` is a source of which nothing was ever loaded; whether it is one.
    pub async fn overlay_missing(&self, name: TableName, of: &TableName) -> Result<bool, EngineError> {
        let is_missing = self.catalog.is_to_come(of).await?;
        if is_missing {
            self.catalog.stand_in(name, of.clone());
        }
        Ok(is_missing)
    }

    /// Puts the rows of a table whose `columns` are a row of the query `keys` before the session, under a name: looked up, or joined
    /// where they cannot be. NULL is no key.
    pub async fn overlay_matching(
        &self,
        name: TableName,
        of: &TableSnapshot,
        columns: &[String],
        keys: &str,
    ) -> Result<(), EngineError> {
        if let Some(recurring) = &self.recurring {
            let query = self.query(keys).await?;
            let schema = query.schema();
            require_as_many(of.name(), columns, schema.fields().len())?;
            let rows = query.collect().await?;
            let schema = rows.first().map_or(schema, RecordBatch::schema);
            let keys = arrow::compute::concat_batches(&schema, &rows).map_err(DataFusionError::from)?;
            if let Some(rows) = recurring.held.matching(of, columns, &keys).await? {
                self.overlay(name.clone(), Arc::new(MemoryTable::held(name, of, rows)));
                return Ok(());
            }
        }
        let rows = LakeScan::around(of.provider(&self.holder.0.state()).await?);
        let found = self.joined(of.name(), rows, columns, keys).await?;
        self.overlay(name, found);
        Ok(())
    }

    /// As [`HeldRows::matching`], by a join.
    async fn joined(
        &self,
        of: &TableName,
        rows: Arc<dyn TableProvider>,
        columns: &[String],
        keys: &str,
    ) -> Result<Arc<dyn TableProvider>, EngineError> {
        let schema = rows.schema();
        let keys = self.plan(one_statement(keys)?).await?;
        let named = keys.schema().columns();
        require_as_many(of, columns, named.len())?;
        let (mut wanted, mut is_wanted) = (Vec::new(), Vec::new());
        for (place, (column, key)) in columns.iter().zip(named).enumerate() {
            let Ok(field) = schema.field_with_name(column) else {
                let columns = schema.fields().iter().map(|field| field.name().clone()).collect();
                let (table, column) = (of.clone(), column.clone());
                return Err(StorageError::ColumnNotFound { table, column, role: "key", columns }.into());
            };
            let name = format!("key_{place}");
            // A lookup reads keys as the table's type, too: as texts, `01` and 1 would be two.
            wanted.push(cast(Expr::Column(key), field.data_type().clone()).alias(&name));
            let own = Expr::Column(Column::new(Some("found"), column));
            is_wanted.push(own.eq(Expr::Column(Column::new(Some("keys"), name))));
        }
        let context = &self.holder.0;
        let keys = DataFrame::new(context.state(), keys).select(wanted)?.alias("keys")?;
        let rows = context.read_table(rows)?.alias("found")?;
        Ok(rows.join_on(keys, JoinType::LeftSemi, is_wanted)?.into_view())
    }

    /// Whether a query may come out otherwise though what it reads is the same: it calls `now()`, `random()` or their like, under any
    /// of their names. What the views say that it reads is not looked at.
    ///
    /// # Errors
    /// A text that is no SQL.
    pub fn is_volatile(&self, sql: &str) -> Result<bool, EngineError> {
        let statement = one_statement(sql)?;
        // The text is enough: functions are called by name, and a plan would open every table.
        let Statement::Statement(statement) = &statement else { return Ok(false) };
        let state = self.holder.0.state_ref();
        let state = state.read();
        let flow = visit_expressions(&**statement, |expr| match expr {
            SqlExpr::Function(function) => {
                let name =
                    function.name.0.last().and_then(ObjectNamePart::as_ident).map(|name| name.value.to_lowercase());
                let function = name.and_then(|name| state.scalar_functions().get(&name));
                match function.map(|function| function.signature().volatility) {
                    Some(Volatility::Stable | Volatility::Volatile) => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                }
            }
            _ => ControlFlow::Continue(()),
        });
        Ok(flow.is_break())
    }

    /// Whether it is for queries that come again and again.
    pub fn is_recurring(&self) -> bool {
        self.recurring.is_some()
    }

    /// The rows and keys in memory, if it is.
    pub fn held(&self) -> Option<&HeldRows> {
        self.recurring.as_ref().map(|recurring| &recurring.held)
    }

    /// All rows of a query; for results that are small by nature.
    pub async fn collect(&self, sql: &str) -> Result<Vec<RecordBatch>, EngineError> {
        self.query(sql).await?.collect().await
    }

    /// Puts a table before the lake's own of that name, for this session only.
    pub fn overlay(&self, name: TableName, provider: Arc<dyn TableProvider>) {
        self.catalog.overlay(name, provider);
    }

    /// Every table and view of the state.
    pub async fn names(&self) -> Result<BTreeSet<TableName>, EngineError> {
        self.catalog.refresh_names().await
    }

    /// The SQL behind a view, or none for tables and unknown names.
    pub async fn view_sql(&self, name: &TableName) -> Result<Option<String>, EngineError> {
        self.catalog.view_sql(name).await
    }

    /// The table at the version this session reads; none for views and unknown names.
    pub async fn snapshot(&self, name: &TableName) -> Result<Option<TableSnapshot>, EngineError> {
        self.catalog.snapshot(name).await
    }

    /// The schema of a table or view, if it exists.
    pub async fn schema(&self, name: &TableName) -> Result<Option<SchemaRef>, EngineError> {
        if self.is_recurring()
            && let Some(snapshot) = self.snapshot(name).await?
        {
            return Ok(Some(HeldRows::schema(&snapshot)));
        }
        if self.catalog.is_to_come(name).await? {
            return Ok(None);
        }
        let reference = datafusion::common::TableReference::full(CATALOG, name.schema(), name.name());
        let state = self.holder.0.state();
        let provider = state.schema_for_ref(reference)?.table(name.name()).await?;
        Ok(provider.map(|provider| provider.schema()))
    }

    /// DataFusion's context, for writers that plan by themselves (merge, SCD2).
    pub fn context(&self) -> &SessionContext {
        &self.holder.0
    }

    /// DataFusion says "table 'lake.s.t' not found"; say which one is near.
    async fn explain_missing_table(&self, error: EngineError) -> EngineError {
        let EngineError::Plan { message } = &error else { return error };
        let Some(name) = message.strip_prefix("table '").and_then(|rest| rest.split('\'').next()) else { return error };
        let name = name.strip_prefix("lake.").unwrap_or(name).to_owned();
        let Ok(known) = self.names().await else { return error };
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        let same_table = || known.iter().find(|k| k.rsplit('.').next() == name.rsplit('.').next()).map(String::as_str);
        let nearest = same_table().or_else(|| did_you_mean(&name, known.iter().map(String::as_str))).map(str::to_owned);
        EngineError::UnknownTable { name, nearest }
    }
}

/// Whether the statement reads `information_schema`, by itself (`SHOW`, `DESCRIBE`) or by name.
fn asks_for_names(statement: &Statement) -> bool {
    let text = statement.to_string().to_ascii_lowercase();
    text.contains("information_schema") || text.starts_with("show") || text.starts_with("desc")
}

/// What is not run, by the first word of the kind of plan that is named last: `DDL not supported: DropTable`.
fn refused(message: &str) -> String {
    let kind = message.rsplit(": ").next().unwrap_or(message);
    let is_one_word = |(at, sign): &(usize, char)| *at == 0 || sign.is_lowercase();
    let verb: String = match kind.chars().any(char::is_lowercase) {
        true => kind.chars().enumerate().take_while(is_one_word).map(|(_, sign)| sign.to_ascii_uppercase()).collect(),
        false => kind.to_owned(),
    };
    format!("{verb} is none; read with SELECT, and let models and `wardlake build` write")
}

/// The one statement of a text.
pub(crate) fn one_statement(sql: &str) -> Result<Statement, EngineError> {
    let mut statements = dialect::rewrite(sql)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(EngineError::NotAQuery { message: "there is no statement in the text".to_owned() }),
        (Some(_), false) => {
            Err(EngineError::NotAQuery { message: "there are several statements; give them one by one".to_owned() })
        }
    }
}

/// Keys have a column for each that they are compared with.
fn require_as_many(table: &TableName, columns: &[String], found: usize) -> Result<(), EngineError> {
    if columns.len() == found {
        return Ok(());
    }
    let found = if found == 1 { "1 column".to_owned() } else { format!("{found} columns") };
    let message = format!(
        "matching(): the query of the keys of {table} has {found}, and its rows are looked up by {} ({}); select those",
        columns.len(),
        columns.join(", ")
    );
    Err(EngineError::Plan { message })
}

/// A statement ready to run.
struct Prepared {
    plan: LogicalPlan,
    physical: Arc<dyn ExecutionPlan>,
    /// The same as a step of a recipe, if it can be one.
    step: Option<Step>,
}

/// A planned query.
pub struct Query {
    session: Session,
    plan: LogicalPlan,
    prepared: Option<Arc<dyn ExecutionPlan>>,
    /// Lasts as long as its rows come.
    run: Option<Arc<Run>>,
}

impl Query {
    pub(crate) fn prepared(
        session: &Session,
        plan: LogicalPlan,
        physical: Arc<dyn ExecutionPlan>,
        run: Option<Arc<Run>>,
    ) -> Self {
        Self { session: session.clone(), plan, prepared: Some(physical), run }
    }

    /// The schema of its rows.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(self.plan.schema().inner())
    }

    /// The logical plan, for lineage and explain.
    pub fn plan(&self) -> &LogicalPlan {
        &self.plan
    }

    /// Plans it down to how it runs: names may be known and their types fit nothing.
    pub async fn check(&self) -> Result<(), EngineError> {
        self.physical().await.map(drop)
    }

    async fn physical(&self) -> Result<Arc<dyn ExecutionPlan>, EngineError> {
        match &self.prepared {
            Some(prepared) => Ok(reset_plan_states(Arc::clone(prepared))?),
            None => {
                let state = self.session.holder.0.state();
                let plan = state.optimize(&self.plan)?;
                depth::check(&plan)?;
                Ok(state.query_planner().create_physical_plan(&plan, &state).await?)
            }
        }
    }

    /// The rows of a stream; the query's run is over when they are, and its errors quote none of their values.
    fn lasting(&self, stream: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let (run, schema) = (self.run.clone(), stream.schema());
        let rows = stream.map(move |rows| {
            let _lasts = &run;
            rows.map_err(error::sealed)
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }

    /// One stream, in the query's order. Dropping it cancels the query.
    pub async fn stream(&self) -> Result<SendableRecordBatchStream, EngineError> {
        Ok(self.lasting(execute_stream(self.physical().await?, self.session.holder.0.task_ctx())?))
    }

    /// One stream per partition, for parallel writers. No order between them.
    pub async fn streams(&self) -> Result<Vec<SendableRecordBatchStream>, EngineError> {
        let streams = execute_stream_partitioned(self.physical().await?, self.session.holder.0.task_ctx())?;
        Ok(streams.into_iter().map(|stream| self.lasting(stream)).collect())
    }

    /// All rows.
    pub async fn collect(&self) -> Result<Vec<RecordBatch>, EngineError> {
        Ok(self.stream().await?.try_collect().await?)
    }

    /// The physical plan as text, for `debug` and tests.
    pub async fn explain(&self) -> Result<String, EngineError> {
        Ok(displayable(self.physical().await?.as_ref()).indent(true).to_string())
    }
}
