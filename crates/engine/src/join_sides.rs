//! Which side of a join is held in memory, and how much of it is counted.

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
        ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec},
        repartition::RepartitionExec,
        sorts::sort::SortExec,
        statistics::{StatisticsArgs, StatisticsContext},
        unnest::UnnestExec,
    },
};

use crate::{memory::MemoryExec, session::BATCH_ROWS};

/// A side of no more bytes and rows than that, as far as they are known, is held without a second thought. Bytes are estimates, which
/// leave out what texts take.
const SMALL_BYTES: usize = 64 << 20;
const SMALL_ROWS: usize = 1 << 16;

/// Holds the right side of left and cross joins in memory where that may be small and nothing says that the left one is; that of a
/// join by a condition where it is known to be small, for ranges are written both ways round. Where the size of one of them is not
/// known, DataFusion leaves the sides as they are and holds the left one: the facts, to which the other adds a few columns.
///
/// Of a join by keys whose rows are known on both sides, the side of less rows times columns is held. DataFusion goes by bytes of files,
/// which say little: millions of texts that repeat are a few megabytes there.
#[derive(Debug)]
struct HoldWhatIsAdded;

impl PhysicalOptimizerRule for HoldWhatIsAdded {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let is_better =
                |left, right| -> Result<bool> { Ok(is_small(left)? != Some(true) && is_small(right)? != Some(false)) };
            let exchanged = if let Some(join) = node.downcast_ref::<HashJoinExec>()
                && match (weight(join.left())?, weight(join.right())?) {
                    (Some(held), Some(other)) => held > other && join.join_type().supports_swap() && !join.null_aware,
                    _ => *join.join_type() == JoinType::Left && is_better(join.left(), join.right())?,
                } {
                join.swap_inputs(*join.partition_mode())?
            } else if let Some(join) = node.downcast_ref::<CrossJoinExec>()
                && is_better(join.left(), join.right())?
            {
                join.swap_inputs()?
            } else if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>()
                && matches!(join.join_type(), JoinType::Inner | JoinType::Left)
                && is_small(join.left())? != Some(true)
                && is_small(join.right())? == Some(true)
            {
                join.swap_inputs()?
            } else {
                return Ok(Transformed::no(node));
            };
            Ok(Transformed::yes(exchanged))
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

/// Joins, sorts and exchanges count all bytes behind each batch that they hold. Batches that are cut from one result, or refer to the texts
/// of one, share them: what is counted grows with the square of the rows. So they are given batches that do not. In plans that waves run,
/// which are about few rows, only joins without keys are.
#[derive(Debug)]
struct CountBytesOnce {
    is_recurring: bool,
}

impl PhysicalOptimizerRule for CountBytesOnce {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match node.children().as_slice() {
            [held, other] if node.is::<CrossJoinExec>() || node.is::<NestedLoopJoinExec>() => {
                let sides = vec![with_own_bytes(held), Arc::clone(other)];
                Ok(Transformed::yes(Arc::clone(&node).replace_children(sides, RECOMPUTED)?))
            }
            _ if self.is_recurring => Ok(Transformed::no(Arc::clone(&node))),
            [held, other] if node.is::<HashJoinExec>() && share_bytes(held) => {
                let sides = vec![with_own_bytes(held), Arc::clone(other)];
                Ok(Transformed::yes(Arc::clone(&node).replace_children(sides, RECOMPUTED)?))
            }
            [input] if (node.is::<SortExec>() || node.is::<RepartitionExec>()) && share_bytes(input) => {
                Ok(Transformed::yes(Arc::clone(&node).replace_children(vec![with_own_bytes(input)], RECOMPUTED)?))
            }
            _ => Ok(Transformed::no(Arc::clone(&node))),
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "count_bytes_once"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether batches of a plan may share bytes: they are cut from groups, windows or what was sorted, or refer to rows of a join's side. What
/// is read, and what was exchanged between partitions, has its own.
fn share_bytes(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.is::<RepartitionExec>() || plan.name() == OWN_BYTES {
        return false;
    }
    let cut =
        ["AggregateExec", "BoundedWindowAggExec", "SortExec", "SortPreservingMergeExec", "UnnestExec", "WindowAggExec"];
    let children = plan.children();
    children.len() == 2 || cut.contains(&plan.name()) || children.into_iter().any(share_bytes)
}

const RECOMPUTED: ReplaceChildrenOptions = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);

/// Name of the operator that [`with_own_bytes`] adds.
const OWN_BYTES: &str = "CoalesceBatchesExec";

/// The same rows in batches that share no bytes, or none to speak of: two of them are put together as one, and texts are copied where less
/// than half of the bytes behind them are theirs. (A target of one batch would not do: batches above half of the target pass as they are.)
#[expect(deprecated, reason = "operators put batches together within them, and joins do not")]
fn with_own_bytes(plan: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    Arc::new(datafusion::physical_plan::coalesce_batches::CoalesceBatchesExec::new(Arc::clone(plan), 2 * BATCH_ROWS))
}

/// Whether a plan is thought to give little, if anything is known. What is made of one held table row by row, or of fewer rows than it
/// has, is little.
fn is_small(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<bool>> {
    let statistics = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new())?;
    let by_bytes = statistics.total_byte_size.get_value().map(|bytes| *bytes <= SMALL_BYTES);
    let by_rows = statistics.num_rows.get_value().map(|rows| *rows <= SMALL_ROWS);
    let known = [by_bytes, by_rows].into_iter().flatten().reduce(|one, other| one && other);
    if known.is_some() {
        return Ok(known);
    }
    match (plan.downcast_ref::<MemoryExec>(), plan.children().as_slice()) {
        (Some(scan), _) => Ok(scan.is_held().then_some(true)),
        (None, [only]) if !plan.is::<UnnestExec>() => is_small(only),
        _ => Ok(None),
    }
}

/// Rows times the bytes that one takes in memory, as far as the rows are known; of a text, its view and as much again.
fn weight(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<usize>> {
    let statistics = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new())?;
    let width: usize =
        plan.schema().fields().iter().map(|field| field.data_type().primitive_width().unwrap_or(32)).sum();
    Ok(statistics.num_rows.get_value().map(|rows| rows.saturating_mul(width)))
}

/// The rules of DataFusion, with ours: sides are exchanged where DataFusion has chosen them, and bytes are owned where nothing is moved any
/// more (a projection would be moved past them without end).
pub(crate) fn rules(is_recurring: bool) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let chosen = rules.iter().position(|rule| rule.name() == "join_selection").map_or(0, |place| place + 1);
    rules.insert(chosen, Arc::new(HoldWhatIsAdded));
    rules.push(Arc::new(CountBytesOnce { is_recurring }));
    rules
}
