//! What is put in its place once all types are known: integer arithmetic that notices when it leaves its range, and floats that become
//! decimals of the digits that they show. DataFusion's type coercion runs before, so that the casts it adds (a float beside decimals in
//! a UNION, a CASE, a coalesce) are seen, too.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::{
    common::{
        DFSchema, Result,
        tree_node::{Transformed, TreeNode},
    },
    config::ConfigOptions,
    logical_expr::{
        Expr, ExprSchemable, LogicalPlan, ScalarUDF, expr::BinaryExpr, expr_rewriter::NamePreserver,
        utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

use super::number::{Checked, FloatToDecimal, Operation};

/// The last rule of the analyzer. It changes no type.
#[derive(Debug)]
pub(super) struct TypedExpressions {
    add: Arc<ScalarUDF>,
    subtract: Arc<ScalarUDF>,
    multiply: Arc<ScalarUDF>,
    negate: Arc<ScalarUDF>,
}

impl TypedExpressions {
    pub(super) fn new() -> Self {
        let checked = |operation| Arc::new(ScalarUDF::new_from_impl(Checked::new(operation)));
        Self {
            add: checked(Operation::Add),
            subtract: checked(Operation::Subtract),
            multiply: checked(Operation::Multiply),
            negate: checked(Operation::Negate),
        }
    }

    fn rewrite_plan(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let mut schema = merge_schema(&plan.inputs());
        if let LogicalPlan::TableScan(scan) = &plan {
            schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
        }
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            // Its name is made of those of its parts, and an aggregate finds them by it.
            if matches!(expr, Expr::GroupingSet(_)) {
                return Ok(Transformed::no(expr));
            }
            let name = names.save(&expr);
            let rewritten = expr.transform_up(|expr| Ok(self.rewrite(expr, &schema)))?;
            Ok(rewritten.update_data(|expr| name.restore(expr)))
        })
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
        match self.replacement(&expr, schema) {
            Some(replacement) => Transformed::yes(replacement),
            None => Transformed::no(expr),
        }
    }

    fn replacement(&self, expr: &Expr, schema: &DFSchema) -> Option<Expr> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let operation = Operation::of(*op)?;
                let data_type = left.get_type(schema).ok()?;
                let are_integers =
                    data_type.is_integer() && right.get_type(schema).is_ok_and(|right| right == data_type);
                are_integers.then(|| self.checked(operation, &[left.as_ref(), right.as_ref()]))
            }
            // The least integer has no counterpart.
            Expr::Negative(inner) => {
                let is_integer = inner.get_type(schema).is_ok_and(|data_type| data_type.is_integer());
                is_integer.then(|| self.checked(Operation::Negate, &[inner.as_ref()]))
            }
            Expr::Cast(cast) => to_decimal(&cast.expr, cast.field.data_type(), false, schema),
            Expr::TryCast(cast) => to_decimal(&cast.expr, cast.field.data_type(), true, schema),
            _ => None,
        }
    }

    fn checked(&self, operation: Operation, operands: &[&Expr]) -> Expr {
        // What is out of range is an error only where it is worked out, which a branch of a CASE may never be.
        let constants = operands.iter().map(|operand| operand.as_literal()).collect::<Option<Vec<_>>>();
        if let Some(result) = constants.and_then(|constants| operation.of_constants(&constants)) {
            return Expr::Literal(result, None);
        }
        let function = match operation {
            Operation::Add => &self.add,
            Operation::Subtract => &self.subtract,
            Operation::Multiply => &self.multiply,
            Operation::Negate => &self.negate,
        };
        function.call(operands.iter().map(|operand| (*operand).clone()).collect())
    }
}

fn to_decimal(value: &Expr, target: &DataType, is_lenient: bool, schema: &DFSchema) -> Option<Expr> {
    let DataType::Decimal128(precision, scale) = target else { return None };
    let is_float = matches!(value.get_type(schema), Ok(DataType::Float32 | DataType::Float64));
    let scale = u8::try_from(*scale).ok().filter(|_| is_float)?;
    let function = FloatToDecimal::new(*precision, scale, is_lenient);
    Some(ScalarUDF::new_from_impl(function).call(vec![value.clone()]))
}

impl AnalyzerRule for TypedExpressions {
    fn name(&self) -> &str {
        "wardlake_typed_expressions"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(|plan| self.rewrite_plan(plan))?.data)
    }
}
