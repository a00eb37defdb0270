//! Tables that are still to come: sources of the project of which nothing was ever loaded. Until then each is an empty relation, so that what
//! is built on it can be built. Its columns are those of every loaded table, those that are described, and whatever a query asks for: fields
//! of sources are text in any case. The lake's own relations, whose columns are known, are empty as well before their first row.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::{
    catalog::TableProvider,
    common::SchemaError,
    datasource::empty::EmptyTable,
    error::DataFusionError,
    execution::context::SessionContext,
    logical_expr::LogicalPlan,
    sql::{
        parser::Statement,
        sqlparser::ast::{Expr, ObjectNamePart, Query, Select, TableFactor, TableWithJoins, Visit, Visitor},
    },
};
use wardlake_core::{
    TableName,
    columns::{ColumnList, MOST_NEW_COLUMNS},
    lineage,
};

use crate::dialect::column;

tokio::task_local! {
    /// What the query that is being planned asks for.
    static ASKED: Arc<Asked>;
}

/// What a query asks for of tables that are not there.
#[derive(Default)]
struct Asked(Mutex<Columns>);

#[derive(Default)]
struct Columns {
    /// The tables that it reads, with what it names of each.
    of: BTreeMap<TableName, BTreeSet<String>>,
    /// What it names of any of them.
    of_any: BTreeSet<String>,
}

impl Asked {
    /// The columns that are asked of a table, which is read.
    fn columns(&self, table: &TableName) -> BTreeSet<String> {
        let mut columns = self.lock();
        let of_any = columns.of_any.clone();
        columns.of.entry(table.clone()).or_default().union(&of_any).cloned().collect()
    }

    /// Whether a query may be planned after all once its tables have more columns. The planner names one that is missing; with it come those
    /// that the statement can be seen to want, for planning it once for each would take as many times as long.
    fn takes(&self, error: &DataFusionError, statement: &Statement) -> bool {
        let DataFusionError::SchemaError(error, _) = error.find_root() else { return false };
        let SchemaError::FieldNotFound { field, .. } = error.as_ref() else { return false };
        let mut columns = self.lock();
        if let Statement::Statement(statement) = statement {
            let _ = statement.visit(&mut Wanted(&mut columns.of));
        }
        !columns.of.is_empty() && columns.of_any.insert(field.name.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Columns> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds what is selected from one of these tables alone: its names can only be columns of the table.
struct Wanted<'a>(&'a mut BTreeMap<TableName, BTreeSet<String>>);

impl Visitor for Wanted<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let [TableWithJoins { relation: TableFactor::Table { name, .. }, joins }] = select.from.as_slice() else {
            return ControlFlow::Continue(());
        };
        let mut parts = name.0.iter().rev().filter_map(ObjectNamePart::as_ident).map(|part| part.value.as_str());
        let table = parts.next().zip(parts.next()).and_then(|(name, schema)| TableName::new(schema, name).ok());
        let Some(columns) = table.and_then(|table| self.0.get_mut(&table)).filter(|_| joins.is_empty()) else {
            return ControlFlow::Continue(());
        };
        let mut names = Names { columns, depth: 0 };
        let _ = select.projection.visit(&mut names);
        let _ = select.selection.visit(&mut names);
        ControlFlow::Continue(())
    }
}

/// Takes up the names of columns in expressions, those of other queries left out.
struct Names<'a> {
    columns: &'a mut BTreeSet<String>,
    /// Queries around the expression that is looked at.
    depth: usize,
}

impl Visitor for Names<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if self.depth == 0 {
            self.columns.extend(column(expr));
        }
        ControlFlow::Continue(())
    }
}

/// The tables that sources of the project are loaded into, and the lake's own.
#[derive(Default)]
pub(crate) struct Expected {
    /// With the columns that are described.
    tables: BTreeMap<TableName, Vec<String>>,
    /// The lake's own: with all of their columns, and nobody is told that they are missing.
    own: BTreeMap<TableName, SchemaRef>,
    /// Those that were read, and whether they were named to anybody.
    read: Mutex<BTreeMap<TableName, bool>>,
}

impl Expected {
    pub(crate) fn new(tables: BTreeMap<TableName, Vec<String>>, own: BTreeMap<TableName, SchemaRef>) -> Self {
        Self { tables, own, read: Mutex::default() }
    }

    pub(crate) fn knows(&self, name: &TableName) -> bool {
        self.own.contains_key(name) || self.tables.contains_key(name)
    }

    /// The tables that were read since this was asked before, and never until then.
    pub(crate) fn newly_read(&self) -> Vec<TableName> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = Vec::new();
        for (name, is_named) in read.iter_mut() {
            if !std::mem::replace(is_named, true) {
                new.push(name.clone());
            }
        }
        new
    }

    /// What stands for a table that is not there, in a query that calls it `named`; none if nobody expects it.
    pub(crate) fn relation(&self, name: &TableName, named: &TableName) -> Option<Arc<dyn TableProvider>> {
        if let Some(schema) = self.own.get(name) {
            return Some(Arc::new(EmptyTable::new(Arc::clone(schema))));
        }
        let described = self.tables.get(name)?.iter().cloned();
        self.read.lock().unwrap_or_else(PoisonError::into_inner).entry(name.clone()).or_insert(false);
        let asked = ASKED.try_with(|asked| asked.columns(named)).unwrap_or_default();
        let own: ColumnList = described.chain(asked).filter(|name| !lineage::is_lineage(name)).collect();
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let mut fields: Vec<Field> = own.names().iter().map(|name| text(name)).collect();
        fields.extend(lineage::ALL.iter().map(|name| match *name {
            lineage::POSITION => Field::new(*name, DataType::Int64, true),
            lineage::RECEIVED_AT => {
                Field::new(*name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true)
            }
            name => text(name),
        }));
        Some(Arc::new(EmptyTable::new(Arc::new(Schema::new(fields)))))
    }
}

/// Plans a statement. What it asks of tables that are still to come, they have.
pub(crate) async fn plan(context: &SessionContext, statement: Statement) -> Result<LogicalPlan, DataFusionError> {
    let asked = Arc::new(Asked::default());
    let planned = || {
        let statement = statement.clone();
        ASKED.scope(Arc::clone(&asked), async move { context.state().statement_to_plan(statement).await })
    };
    for _ in 0..MOST_NEW_COLUMNS {
        match planned().await {
            Err(error) if asked.takes(&error, &statement) => {}
            done => return done,
        }
    }
    planned().await
}
