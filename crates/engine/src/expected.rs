//! Tables that are still to come: sources of the project of which nothing was ever loaded. Until then each is an empty relation, so that what
//! is built on it can be built. Its columns are those of every loaded table, those that are described, and whatever a query asks for: fields
//! of sources are text in any case. The lake's own relations, whose columns are known, are empty as well before their first row.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::{
    catalog::TableProvider, common::SchemaError, datasource::empty::EmptyTable, error::DataFusionError,
    execution::context::SessionContext, logical_expr::LogicalPlan, sql::parser::Statement,
};
use wardlake_core::{
    TableName,
    columns::{ColumnList, MOST_NEW_COLUMNS},
    lineage,
};

tokio::task_local! {
    /// What the query that is being planned asks for.
    static ASKED: Arc<Asked>;
}

/// What a query asks for of tables that are not there.
#[derive(Default)]
struct Asked {
    columns: Mutex<BTreeSet<String>>,
    /// Whether it reads such a table at all.
    is_needed: AtomicBool,
}

impl Asked {
    fn columns(&self) -> BTreeSet<String> {
        self.is_needed.store(true, Ordering::Relaxed);
        self.columns.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a query may be planned after all once its tables have one column more.
    fn takes(&self, error: &DataFusionError) -> bool {
        let DataFusionError::SchemaError(error, _) = error.find_root() else { return false };
        let SchemaError::FieldNotFound { field, .. } = error.as_ref() else { return false };
        let mut columns = self.columns.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_needed.load(Ordering::Relaxed) && columns.insert(field.name.clone())
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

    /// What stands for a table that is not there; none if nobody expects it.
    pub(crate) fn relation(&self, name: &TableName) -> Option<Arc<dyn TableProvider>> {
        if let Some(schema) = self.own.get(name) {
            return Some(Arc::new(EmptyTable::new(Arc::clone(schema))));
        }
        let described = self.tables.get(name)?.iter().cloned();
        self.read.lock().unwrap_or_else(PoisonError::into_inner).entry(name.clone()).or_insert(false);
        let asked = ASKED.try_with(|asked| asked.columns()).unwrap_or_default();
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
            Err(error) if asked.takes(&error) => {}
            done => return done,
        }
    }
    planned().await
}
