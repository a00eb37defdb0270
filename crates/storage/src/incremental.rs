//! What is new in a table since a version: rows that were added, or every change of a row.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use datafusion::{
    catalog::TableProvider,
    common::ScalarValue,
    dataframe::DataFrame,
    error::Result as QueryResult,
    execution::SessionState,
    functions::math::expr_fn::abs,
    functions_aggregate::{
        expr_fn::sum,
        min_max::{max_udaf, min_udaf},
    },
    functions_nested::expr_fn::array_repeat,
    logical_expr::{
        AggregateUDF, Expr, ExprFunctionExt, WindowFunctionDefinition, cast, expr::WindowFunction, ident, lit, when,
    },
};
use deltalake::kernel::Add;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};

use crate::{
    StorageError, TableSnapshot,
    log::{Line, commit_lines},
    rewrite::column,
    schema_change::require_columns,
    state::DataFile,
    table::TableHandle,
};

/// The column that says what happened to a row in [`TableSnapshot::changes_since`].
pub const CHANGE_TYPE: &str = "_change_type";

const ROWS: &str = "rows";
const NET: &str = "__wardlake_net";

impl TableSnapshot {
    /// The rows of files that were added after `version` (`None`: all rows). Rows an update or merge rewrote are among them;
    /// rows that were only moved by an optimize are not.
    pub async fn appended_since(
        &self,
        version: Option<u64>,
        session: &SessionState,
    ) -> Result<Arc<dyn TableProvider>, StorageError> {
        let Some(version) = version else { return self.provider(session).await };
        let Added { here, moved } = self.handle.added(version, self.version()).await?;
        let own = self.selected(session, here.into_values()).await?;
        if moved.is_empty() {
            return Ok(own);
        }
        let query = || StorageError::query(self.name());
        let mut all = self.scan_provider(session, own).map_err(query())?;
        for (version, adds) in moved {
            let then = self.at(version).await?;
            let rows = then.scan_provider(session, then.selected(session, adds.into_iter()).await?).map_err(query())?;
            all = all.union(self.conform(rows, &then).map_err(query())?).map_err(query())?;
        }
        Ok(all.into_view())
    }

    /// The net changes of rows after `version` (`None`: every row is an insert): this table's columns and `_change_type`, which
    /// is `insert` or `delete`, or with `keys` also `update_preimage` and `update_postimage` for keys with both. A row that was
    /// changed and changed back is no change. Works on every table; reads only files that one of the two versions lacks.
    pub async fn changes_since(
        &self,
        version: Option<u64>,
        keys: &[String],
        session: &SessionState,
    ) -> Result<Arc<dyn TableProvider>, StorageError> {
        let query = || StorageError::query(self.name());
        require_columns(self.name(), &self.schema(), keys, "key")?;
        let Some(version) = version else {
            let mut columns = self.columns();
            columns.push(lit("insert").alias(CHANGE_TYPE));
            let rows = self.scan(session, ROWS, None, false).await?;
            return Ok(rows.select(columns).map_err(query())?.into_view());
        };
        let then = self.at(version).await?;
        let only_in = |own: &Self, other: &Self| -> Vec<Arc<DataFile>> {
            own.data_files().into_iter().filter(|file| other.state.file(file.path()).is_none()).collect()
        };
        let (gone, new) = (only_in(&then, self), only_in(self, &then));
        let gone = self.conform(then.scan(session, ROWS, Some(&gone), false).await?, &then).map_err(query())?;
        let new = self.scan(session, ROWS, Some(&new), false).await?;
        self.net_changes(gone, new, keys).map(DataFrame::into_view).map_err(query())
    }

    fn net_changes(&self, gone: DataFrame, new: DataFrame, keys: &[String]) -> QueryResult<DataFrame> {
        let weighted = |rows: DataFrame, weight: i64, relation: Option<&str>| {
            let own = |name: &String| relation.map_or_else(|| ident_exact(name), |relation| column(relation, name));
            let schema = self.schema();
            let mut columns: Vec<Expr> =
                schema.fields().iter().map(|field| own(field.name()).alias(field.name())).collect();
            columns.push(lit(weight).alias(NET));
            rows.select(columns)
        };
        let rows = weighted(new, 1, Some(ROWS))?.union(weighted(gone, -1, None)?)?;
        let columns: Vec<Expr> = self.schema().fields().iter().map(|field| ident_exact(field.name())).collect();
        let net =
            rows.aggregate(columns.clone(), vec![sum(ident(NET)).alias(NET)])?.filter(ident(NET).not_eq(lit(0i64)))?;
        let change = match keys {
            [] => when(ident(NET).gt(lit(0i64)), lit("insert")).otherwise(lit("delete"))?,
            keys => {
                let updated = over(min_udaf(), keys)?.lt(lit(0i64)).and(over(max_udaf(), keys)?.gt(lit(0i64)));
                let up = ident(NET).gt(lit(0i64));
                when(updated.clone().and(up.clone()), lit("update_postimage"))
                    .when(updated, lit("update_preimage"))
                    .when(up, lit("insert"))
                    .otherwise(lit("delete"))?
            }
        };
        let mut with_type = columns.clone();
        with_type.push(change.alias(CHANGE_TYPE));
        // A change of several equal rows is several changes.
        with_type.push(array_repeat(lit(1i64), abs(ident(NET))).alias(NET));
        let mut last = columns;
        last.push(ident(CHANGE_TYPE));
        net.select(with_type)?.unnest_columns(&[NET])?.select(last)
    }

    fn columns(&self) -> Vec<Expr> {
        self.schema().fields().iter().map(|field| column(ROWS, field.name()).alias(field.name())).collect()
    }

    /// Rows of another version with this version's columns.
    fn conform(&self, rows: DataFrame, then: &Self) -> QueryResult<DataFrame> {
        let own = then.schema();
        let columns = self
            .schema()
            .fields()
            .iter()
            .map(|field| {
                let value = match own.column_with_name(field.name()) {
                    Some(_) => column(ROWS, field.name()),
                    None => lit(ScalarValue::Null),
                };
                cast(value, field.data_type().clone()).alias(field.name())
            })
            .collect::<Vec<_>>();
        rows.select(columns)
    }

    fn scan_provider(&self, session: &SessionState, provider: Arc<dyn TableProvider>) -> QueryResult<DataFrame> {
        let source = datafusion::datasource::provider_as_source(provider);
        let plan = datafusion::logical_expr::LogicalPlanBuilder::scan(ROWS, source, None)?.build()?;
        let rows = DataFrame::new(session.clone(), plan);
        let schema = self.schema();
        let columns = schema.fields().iter();
        rows.select(columns.map(|field| column(ROWS, field.name())).collect::<Vec<_>>())
    }

    async fn selected(
        &self,
        session: &SessionState,
        adds: impl Iterator<Item = Add>,
    ) -> Result<Arc<dyn TableProvider>, StorageError> {
        let selection = deltalake::delta_datafusion::FileSelection::from_adds(adds);
        let builder = self.delta().await?.table_provider().with_session(Arc::new(session.clone()));
        builder.with_file_selection(selection).await.map_err(StorageError::query(self.name()))
    }

    /// An earlier version of this table.
    pub(crate) async fn at(&self, version: u64) -> Result<Self, StorageError> {
        if version == self.version() {
            return Ok(self.clone());
        }
        let newest = self.version();
        let missing = || StorageError::VersionNotFound { table: self.name().clone(), version, newest };
        if version > newest {
            return Err(missing());
        }
        match self.handle.state_at(version).await? {
            // Another id: the table was dropped since and made anew.
            Some(state) if state.metadata().id() == self.table_id() => Ok(Self::new(Arc::clone(&self.handle), state)),
            _ => Err(missing()),
        }
    }
}

impl TableHandle {
    /// The files that were added after the version `from`, up to `to`.
    pub(crate) async fn added(&self, from: u64, to: u64) -> Result<Added, StorageError> {
        let mut added = Added::default();
        let mut commits = self.commits(from, to);
        while let Some((version, lines)) = commits.try_next().await? {
            added.follow(version, lines);
        }
        Ok(added)
    }

    fn commits(&self, from: u64, to: u64) -> BoxStream<'_, Result<(u64, Vec<Line>), StorageError>> {
        futures::stream::iter(from + 1..=to)
            .map(move |version| async move { Ok((version, commit_lines(&self.name, &self.log_store, version).await?)) })
            .buffered(8)
            .boxed()
    }
}

fn ident_exact(name: &str) -> Expr {
    Expr::Column(datafusion::common::Column::from_name(name))
}

fn over(function: Arc<AggregateUDF>, keys: &[String]) -> QueryResult<Expr> {
    let function = WindowFunction::new(WindowFunctionDefinition::AggregateUDF(function), vec![ident(NET)]);
    Expr::from(function).partition_by(keys.iter().map(|key| ident_exact(key)).collect()).build()
}

/// Files added so far: those still there, and by version those that were since only moved.
#[derive(Default)]
pub(crate) struct Added {
    pub(crate) here: HashMap<String, Add>,
    pub(crate) moved: BTreeMap<u64, Vec<Add>>,
}

impl Added {
    fn follow(&mut self, version: u64, lines: Vec<Line>) {
        for remove in lines.iter().filter_map(|line| line.remove.as_ref()) {
            let Some(add) = self.here.remove(&remove.path) else { continue };
            if !remove.data_change {
                self.moved.entry(version - 1).or_default().push(add);
            }
        }
        for add in lines.into_iter().filter_map(|line| line.add).filter(|add| add.data_change) {
            self.here.insert(add.path.clone(), *add);
        }
    }
}
