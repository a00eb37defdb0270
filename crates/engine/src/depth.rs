//! How deep a plan is. Planning, optimising and running call themselves once per step and once per level of an expression, and a full
//! stack ends the whole process. A statement is bounded where it is parsed (`dialect/depth.rs`); what views and common tables that build
//! on one another make of it is bounded here.

use datafusion::{
    common::{
        Result,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, LogicalPlan},
};

use crate::words::say;

/// The stack of a thread that plans and runs queries: enough for all that the bounds let through.
pub const THREAD_STACK_BYTES: usize = 16 << 20;

/// Most steps one after the other.
const MOST_STEPS: usize = 1_000;

/// Most steps in all. Common tables and views stand in a plan as often as they are named, and those within them again.
const MOST_PARTS: usize = 100_000;

/// Most levels of expressions that optimisers put into each other.
const MOST_LEVELS: usize = 2_000;

/// An error if the plan is deeper than can be run.
pub(crate) fn check(plan: &LogicalPlan) -> Result<()> {
    let mut parts = 0;
    check_from(plan, 1, &mut parts)
}

fn check_from(plan: &LogicalPlan, steps: usize, parts: &mut usize) -> Result<()> {
    // Nothing calls itself here but for subqueries: the plan may be too deep for that.
    let mut rest = vec![(plan, steps, 0)];
    while let Some((plan, steps, levels)) = rest.pop() {
        *parts += 1;
        if steps > MOST_STEPS || *parts > MOST_PARTS {
            return too_deep("steps");
        }
        let mut here = 0;
        plan.apply_expressions(|expr| {
            here = here.max(levels_of(expr)?);
            Ok(TreeNodeRecursion::Continue)
        })?;
        let levels = if is_merged(plan) { levels + here } else { 0 };
        if levels.max(here) > MOST_LEVELS {
            return too_deep("levels of expressions");
        }
        plan.apply_subqueries(|subquery| {
            check_from(subquery, steps + 1, parts)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        rest.extend(plan.inputs().into_iter().map(|input| (input, steps + 1, levels)));
    }
    Ok(())
}

/// Whether optimisers put the expressions of this step and of the one before into each other.
fn is_merged(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_))
}

fn levels_of(expr: &Expr) -> Result<usize> {
    let (mut deepest, mut rest) = (0, vec![(expr, 1)]);
    while let Some((expr, level)) = rest.pop() {
        deepest = deepest.max(level);
        expr.apply_children(|child| {
            rest.push((child, level + 1));
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(deepest)
}

fn too_deep(what: &str) -> Result<()> {
    say!(
        "the query has more {what} than can be run, those of the views and common tables (WITH) that it reads included; materialize \
         some of them as tables"
    )
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};

    use super::*;

    fn added(count: usize) -> Expr {
        (1..count).fold(col("x"), |sum, _| sum + lit(1_i64))
    }

    /// A chain of common tables that each add something to the last one.
    fn chain(tables: usize, terms: usize) -> LogicalPlan {
        let one = LogicalPlanBuilder::empty(true).project(vec![lit(1_i64).alias("x")]).unwrap();
        let whole = (0..tables).fold(one, |plan, _| plan.project(vec![added(terms).alias("x")]).unwrap());
        whole.build().unwrap()
    }

    #[test]
    fn c08_what_common_tables_make_of_a_query_is_bounded() {
        check(&chain(20, 20)).unwrap();
        assert!(check(&chain(1_200, 1)).unwrap_err().to_string().contains("steps"));
        assert!(check(&chain(50, 50)).unwrap_err().to_string().contains("levels"));
    }

    #[test]
    fn c08_what_is_named_twice_each_time_is_bounded() {
        let one = chain(1, 1);
        let doubled =
            |plan: LogicalPlan, _| LogicalPlanBuilder::from(plan.clone()).union(plan).unwrap().build().unwrap();
        let whole = (0..20).fold(one, doubled);
        assert!(check(&whole).unwrap_err().to_string().contains("steps"));
    }
}
