//! Plans of queries that come again and again while their tables move on: a server's waves run the same models over a little news,
//! and working out how would take far longer than doing it. An optimised logical plan depends on the query, on views, on the columns
//! of its tables and on which filters these take over; while all of that is as it was, only the tables in it are exchanged.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use arrow::datatypes::SchemaRef;
use datafusion::{
    common::{
        TableReference,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    datasource::{cte_worktable::CteWorkTable, provider_as_source, source_as_provider},
    error::DataFusionError,
    logical_expr::{Expr, LogicalPlan, TableProviderFilterPushDown, TableScan, TableSource, Volatility},
};
use wardlake_core::TableName;

use crate::{
    EngineError,
    catalog::{CATALOG, LakeCatalog},
};

/// More queries than that are no longer the same ones coming again.
const MOST: usize = 512;

/// Optimised plans by the text of their query.
#[derive(Debug, Default)]
pub struct PlanCache(Mutex<HashMap<String, Arc<Kept>>>);

#[derive(Debug)]
struct Kept {
    plan: LogicalPlan,
    scans: Vec<Scan>,
    /// The views that were resolved by the session that planned it, and their SQL.
    views: Vec<(TableName, String)>,
}

/// What a plan takes for granted of one mention of a table.
#[derive(Debug)]
struct Scan {
    table: TableReference,
    schema: SchemaRef,
    filters: Vec<Expr>,
    taken_over: Vec<TableProviderFilterPushDown>,
}

impl Scan {
    fn of(scan: &TableScan) -> Result<Self, DataFusionError> {
        Ok(Self {
            table: scan.table_name.clone(),
            schema: scan.source.schema(),
            filters: scan.filters.clone(),
            taken_over: taken_over(scan.source.as_ref(), &scan.filters)?,
        })
    }

    fn fits(&self, source: &dyn TableSource) -> bool {
        source.schema() == self.schema
            && taken_over(source, &self.filters).is_ok_and(|taken_over| taken_over == self.taken_over)
    }
}

fn taken_over(source: &dyn TableSource, filters: &[Expr]) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
    source.supports_filters_pushdown(&filters.iter().collect::<Vec<_>>())
}

/// The lake's table that a plan mentions; none for anything else.
fn table_name(reference: &TableReference) -> Option<TableName> {
    let is_ours = reference.catalog().is_none_or(|catalog| catalog == CATALOG);
    let schema = reference.schema().filter(|_| is_ours)?;
    TableName::new(schema, reference.table()).ok()
}

/// Whether a scan reads what a recursive query has worked out so far.
fn is_own_rows(scan: &TableScan) -> bool {
    source_as_provider(&scan.source).is_ok_and(|provider| provider.as_ref().downcast_ref::<CteWorkTable>().is_some())
}

/// Whether the plan comes out otherwise at another time: calls of `now()` and its like are worked out by the optimiser.
fn is_of_its_time(plan: &LogicalPlan) -> Result<bool, DataFusionError> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                found |= matches!(part, Expr::ScalarFunction(call)
                    if call.func.signature().volatility != Volatility::Immutable);
                Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })
        })
    })?;
    Ok(found)
}

impl PlanCache {
    /// The plan of a query that was kept, over the tables as `catalog` has them now.
    pub(crate) async fn find(&self, sql: &str, catalog: &LakeCatalog) -> Result<Option<LogicalPlan>, EngineError> {
        let Some(kept) = self.lock().get(sql).cloned() else { return Ok(None) };
        for (view, sql) in &kept.views {
            if catalog.view_sql(view).await?.as_ref() != Some(sql) {
                return Ok(None);
            }
        }
        let mut sources: HashMap<TableReference, Arc<dyn TableSource>> = HashMap::new();
        for scan in &kept.scans {
            let source = match sources.get(&scan.table) {
                Some(source) => Arc::clone(source),
                None => {
                    let Some(name) = table_name(&scan.table) else { return Ok(None) };
                    let Some(provider) = catalog.provider(&name).await? else { return Ok(None) };
                    let source = provider_as_source(provider);
                    sources.insert(scan.table.clone(), Arc::clone(&source));
                    source
                }
            };
            if !scan.fits(source.as_ref()) {
                return Ok(None);
            }
        }
        let exchanged = kept.plan.clone().transform_up_with_subqueries(|node| match node {
            LogicalPlan::TableScan(scan) if !is_own_rows(&scan) => match sources.get(&scan.table_name) {
                Some(source) => {
                    Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source: Arc::clone(source), ..scan })))
                }
                None => Ok(Transformed::no(LogicalPlan::TableScan(scan))),
            },
            other => Ok(Transformed::no(other)),
        })?;
        Ok(Some(exchanged.data))
    }

    /// Keeps a plan, if nothing but the query and its tables decides it.
    pub(crate) fn keep(
        &self,
        sql: &str,
        planned: &LogicalPlan,
        optimised: &LogicalPlan,
        views: HashSet<(TableName, String)>,
    ) -> Result<(), EngineError> {
        if is_of_its_time(planned)? {
            return Ok(());
        }
        let (mut scans, mut has_others) = (Vec::new(), false);
        optimised.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && !is_own_rows(scan)
            {
                has_others |= table_name(&scan.table_name).is_none();
                scans.push(Scan::of(scan)?);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        if !has_others {
            let mut plans = self.lock();
            if plans.len() >= MOST {
                plans.clear();
            }
            let views = views.into_iter().collect();
            plans.insert(sql.to_owned(), Arc::new(Kept { plan: optimised.clone(), scans, views }));
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Kept>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
