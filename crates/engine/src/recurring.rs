//! Queries that come again and again while their tables move on: a server's waves run the same models over a little news, and
//! working out how, or reading small tables anew, would take far longer than the rest. A query's physical plan depends on the query,
//! on views, and on the columns of its tables. While all of that is as it was, the plan runs again with the rows of today.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    datasource::{cte_worktable::CteWorkTable, source_as_provider},
    error::DataFusionError,
    logical_expr::{Expr, LogicalPlan, Volatility},
    physical_plan::ExecutionPlan,
};
use wardlake_access::{Viewer, ViewerKey};
use wardlake_core::TableName;
use wardlake_storage::{HeldFiles, HeldRows};

use crate::{
    EngineError, Session,
    memory::{MemoryExec, MemoryTable},
    session::Query,
};

/// More queries than that are no longer the same ones coming again.
const MOST: usize = 512;

type Recipes = HashMap<(ViewerKey, String), Arc<Recipe>>;

/// What sessions of recurring queries share: how their queries run, and the rows of small tables; both by viewer.
#[derive(Debug, Default)]
pub(crate) struct Recurring {
    recipes: Mutex<Recipes>,
    held: HeldFiles,
}

/// What the sessions of one viewer share of it.
#[derive(Debug)]
pub(crate) struct RecurringOf {
    viewer: ViewerKey,
    all: Arc<Recurring>,
    pub(crate) held: HeldRows,
}

/// How a query runs: common tables first, each under its name, then the query itself.
#[derive(Debug)]
pub(crate) struct Recipe {
    steps: Vec<Step>,
    /// The views that were resolved when it was planned, and their SQL.
    views: HashSet<(TableName, String)>,
    /// One run at a time: a plan has one place for the rows it reads.
    running: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
pub(crate) struct Step {
    /// The table under which later steps find what comes out; none for the query itself.
    output: Option<TableName>,
    logical: LogicalPlan,
    physical: Arc<dyn ExecutionPlan>,
    scans: Vec<MemoryExec>,
}

impl Step {
    /// A planned query as a step; none if it reads anything but rows in memory, or comes out otherwise at another time: then it has to
    /// be planned each time.
    pub(crate) fn new(
        output: Option<TableName>,
        planned: &LogicalPlan,
        optimised: &LogicalPlan,
        physical: &Arc<dyn ExecutionPlan>,
    ) -> Result<Option<Self>, DataFusionError> {
        if is_of_its_time(planned)? || !reads_memory_alone(optimised)? {
            return Ok(None);
        }
        let (logical, physical) = (optimised.clone(), Arc::clone(physical));
        let scans = MemoryExec::within(&physical)?;
        Ok(Some(Self { output, logical, physical, scans }))
    }
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

fn reads_memory_alone(plan: &LogicalPlan) -> Result<bool, DataFusionError> {
    let mut others = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source)?;
            // A recursive query reads what it has worked out so far.
            let is_own = provider.downcast_ref::<CteWorkTable>().is_some();
            others |= !is_own && MemoryTable::of(provider.as_ref()).is_none();
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(!others)
}

impl Recurring {
    /// The part of one viewer: no other one's plans or rows are found in it.
    pub(crate) fn of(self: &Arc<Self>, viewer: &Viewer) -> RecurringOf {
        let viewer = viewer.key();
        RecurringOf { held: self.held.of(viewer.clone()), viewer, all: Arc::clone(self) }
    }
}

impl RecurringOf {
    /// The query as it ran before, with the rows that `session` sees.
    pub(crate) async fn find(&self, sql: &str, session: &Session) -> Result<Option<Query>, EngineError> {
        let Some(recipe) = self.recipe(sql) else { return Ok(None) };
        let Ok(running) = Arc::clone(&recipe.running).try_lock_owned() else { return Ok(None) };
        let run = Arc::new(Run { recipe: Arc::clone(&recipe), _running: running });
        for (view, sql) in &recipe.views {
            if session.view_sql(view).await?.as_ref() != Some(sql) {
                return Ok(None);
            }
        }
        let mut tables: HashMap<TableName, MemoryTable> = HashMap::new();
        for step in &recipe.steps {
            for scan in &step.scans {
                if !tables.contains_key(scan.table()) {
                    let Some(table) = session.memory_table(scan.table()).await? else { return Ok(None) };
                    tables.insert(scan.table().clone(), table);
                }
                match tables.get(scan.table()) {
                    Some(table) if scan.fits(table) => scan.exchange(table),
                    _ => return Ok(None),
                }
            }
            let physical = &step.physical;
            let Some(output) = &step.output else {
                return Ok(Some(Query::prepared(session, step.logical.clone(), Arc::clone(physical), Some(run))));
            };
            let table = session.run_into(output, physical).await?;
            tables.insert(output.clone(), table);
        }
        Ok(None)
    }

    /// Keeps how a query ran.
    pub(crate) fn keep(&self, sql: &str, steps: Vec<Step>, views: HashSet<(TableName, String)>) {
        let mut recipes = self.lock();
        if recipes.len() >= MOST {
            recipes.clear();
        }
        let recipe = Recipe { steps, views, running: Arc::default() };
        recipes.insert((self.viewer.clone(), sql.to_owned()), Arc::new(recipe));
    }

    fn recipe(&self, sql: &str) -> Option<Arc<Recipe>> {
        self.lock().get(&(self.viewer.clone(), sql.to_owned())).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Recipes> {
        self.all.recipes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run of a recipe: when it is over, the recipe lets go of the rows.
pub(crate) struct Run {
    recipe: Arc<Recipe>,
    _running: tokio::sync::OwnedMutexGuard<()>,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.recipe.steps.iter().flat_map(|step| &step.scans).for_each(MemoryExec::clear);
    }
}

#[cfg(test)]
mod tests {
    use wardlake_access::{PrincipalId, SystemReason};

    use super::*;

    #[test]
    fn two_viewers_share_no_plan_and_one_does() {
        let all = Arc::new(Recurring::default());
        let owner = |user: &str| Viewer::Owner { user: user.into() };
        let viewers = [
            Viewer::System(SystemReason::Wave),
            owner("ward"),
            owner("billing"),
            Viewer::Principal(PrincipalId::new("ward")),
        ];
        let sql = "select 1 as one";
        for viewer in &viewers {
            assert!(all.of(viewer).recipe(sql).is_none(), "{viewer:?}");
            all.of(viewer).keep(sql, Vec::new(), HashSet::new());
        }
        let recipes: Vec<_> = viewers.iter().map(|viewer| all.of(viewer).recipe(sql).unwrap()).collect();
        for (viewer, recipe) in viewers.iter().zip(&recipes) {
            let same = recipes.iter().filter(|other| Arc::ptr_eq(recipe, other)).count();
            assert_eq!(same, 1, "{viewer:?}");
            assert!(Arc::ptr_eq(recipe, &all.of(viewer).recipe(sql).unwrap()), "{viewer:?}");
        }
        // Waves and alerts are one viewer.
        let alerts = all.of(&Viewer::System(SystemReason::Alert)).recipe(sql).unwrap();
        assert!(Arc::ptr_eq(&alerts, &recipes[0]));
    }
}
