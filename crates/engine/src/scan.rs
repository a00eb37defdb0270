//! The scan of a table of the lake, which is asked for what it can leave out by filters that are small enough.
//!
//! The Delta library turns a list of values into a chain of comparisons and calls itself for each of them: fifty thousand values are
//! more than any stack holds. Such a filter prunes no file that is worth it, so it is kept away and applied to the rows instead.

use std::{borrow::Cow, sync::Arc};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{
        Constraints, Statistics,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    error::Result,
    logical_expr::{Expr, LogicalPlan, TableProviderFilterPushDown, TableType},
    physical_plan::ExecutionPlan,
};

/// Most parts of a filter that goes to the scan: some hundred values, or comparisons.
const MOST_PARTS: usize = 400;

/// A table whose scan sees small filters only.
#[derive(Debug)]
pub(crate) struct LakeScan {
    table: Arc<dyn TableProvider>,
}

impl LakeScan {
    pub(crate) fn around(table: Arc<dyn TableProvider>) -> Arc<dyn TableProvider> {
        Arc::new(Self { table })
    }
}

fn is_small(filter: &Expr) -> bool {
    let mut parts = 0;
    let counted = filter.apply(|_| {
        parts += 1;
        Ok(if parts > MOST_PARTS { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    counted.is_ok() && parts <= MOST_PARTS
}

#[async_trait]
impl TableProvider for LakeScan {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn constraints(&self) -> Option<&Constraints> {
        self.table.constraints()
    }

    fn table_type(&self) -> TableType {
        self.table.table_type()
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        self.table.get_logical_plan()
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.table.scan(session, projection, filters, limit).await
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let small: Vec<&Expr> = filters.iter().copied().filter(|filter| is_small(filter)).collect();
        let mut supported = self.table.supports_filters_pushdown(&small)?.into_iter();
        let supported = filters.iter().map(|filter| {
            let answer = if is_small(filter) { supported.next() } else { None };
            answer.unwrap_or(TableProviderFilterPushDown::Unsupported)
        });
        Ok(supported.collect())
    }

    fn statistics(&self) -> Option<Statistics> {
        self.table.statistics()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    #[test]
    fn c08_a_list_of_any_length_is_measured() {
        let list = |count: i64| col("id").in_list((0..count).map(lit).collect(), false);
        assert!(is_small(&list(100)));
        assert!(!is_small(&list(50_000)));
        assert!(is_small(&col("id").eq(lit(1)).and(col("ward").eq(lit("ICU")))));
    }
}
