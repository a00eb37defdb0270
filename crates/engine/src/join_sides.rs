//! Which side of a join is held in memory.

use std::sync::Arc;

use datafusion::{
    common::{
        JoinType,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::Result,
    physical_optimizer::{PhysicalOptimizerRule, optimizer::PhysicalOptimizer},
    physical_plan::{
        ExecutionPlan,
        joins::HashJoinExec,
        statistics::{StatisticsArgs, StatisticsContext},
    },
};

/// Holds the right side of a left join in memory where nothing is known of its size, and nothing says that the left one is small.
/// DataFusion leaves the sides as they are then and holds the left one: the facts, to which the other adds a few columns.
#[derive(Debug)]
struct HoldWhatIsAdded;

impl PhysicalOptimizerRule for HoldWhatIsAdded {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let few = config.optimizer.hash_join_single_partition_threshold_rows;
        plan.transform_up(|node| {
            let Some(join) = node.downcast_ref::<HashJoinExec>().filter(|join| *join.join_type() == JoinType::Left)
            else {
                return Ok(Transformed::no(node));
            };
            let has_few = rows(join.left())?.is_some_and(|rows| rows < few);
            if has_few || rows(join.right())?.is_some() {
                return Ok(Transformed::no(node));
            }
            Ok(Transformed::yes(join.swap_inputs(*join.partition_mode())?))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "hold_what_is_added"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// How many rows a plan is thought to give, if anything is known.
fn rows(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<usize>> {
    let statistics = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new())?;
    Ok(statistics.num_rows.get_value().copied())
}

/// The rules of DataFusion, and this one where sides have been chosen.
pub(crate) fn rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let chosen = rules.iter().position(|rule| rule.name() == "join_selection").map_or(0, |place| place + 1);
    rules.insert(chosen, Arc::new(HoldWhatIsAdded));
    rules
}
