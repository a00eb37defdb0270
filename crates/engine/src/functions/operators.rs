//! Operators that DataFusion lacks: `interval * number`, `interval / number`, `date ± integer`; and `date ± interval`,
//! which is a timestamp as in PostgreSQL and DuckDB (DataFusion's date would drop the hours).

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, IntervalMonthDayNanoArray},
    datatypes::{DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit},
};
use datafusion::{
    common::{DFSchema, Result},
    logical_expr::{
        Expr, ExprSchemable, ScalarUDF, cast, lit,
        planner::{ExprPlanner, PlannerResult, RawBinaryExpr},
    },
    sql::sqlparser::ast::BinaryOperator,
};

use super::{
    FunctionDoc, column, datetime,
    scalar::{Call, ScalarFunction},
};
use crate::words::say;

const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

pub(super) fn all() -> Vec<ScalarFunction> {
    vec![interval_multiply()]
}

fn interval_multiply() -> ScalarFunction {
    ScalarFunction::new(
        FunctionDoc {
            name: "interval_multiply",
            signature: "interval_multiply(i, n)\ni * n\nn * i\ni / n",
            description: "An interval n times. As in PostgreSQL a fraction of a month becomes days of a 30-day month, a \
                          fraction of a day becomes time. NULL when it leaves the range of intervals.",
            example: "interval '1 day' * 3 → 3 days",
        },
        2..=2,
        |_| Ok(INTERVAL),
        multiply,
    )
}

fn multiply(call: &Call<'_>) -> Result<ArrayRef> {
    let (intervals, stride) = call.array(0)?;
    if !is_interval(intervals.data_type()) {
        return say!("interval_multiply: argument 1 is {}, not an interval", intervals.data_type());
    }
    let intervals = column::cast(&intervals, &INTERVAL)?;
    let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>();
    let factors = call.floats(1)?;
    let values = (0..call.rows).map(|row| {
        let i = row * stride;
        let factor = factors.get(row)?;
        if intervals.is_null(i) { None } else { scaled(intervals.value(i), factor) }
    });
    Ok(Arc::new(values.collect::<IntervalMonthDayNanoArray>()))
}

fn scaled(interval: IntervalMonthDayNano, factor: f64) -> Option<IntervalMonthDayNano> {
    let months = f64::from(interval.months) * factor;
    let days = f64::from(interval.days) * factor + months.fract() * 30.0;
    // Whole factors stay exact: 64-bit floats hold nanoseconds of only 104 days.
    let nanos = if factor.fract() == 0.0 && factor.abs() < 9e15 {
        interval.nanoseconds.checked_mul(factor as i64)?
    } else {
        to_i64(interval.nanoseconds as f64 * factor)?
    };
    let spilled = to_i64((days.fract() * 86_400e6).round() * 1_000.0)?;
    Some(IntervalMonthDayNano::new(to_i32(months.trunc())?, to_i32(days.trunc())?, nanos.checked_add(spilled)?))
}

fn to_i32(value: f64) -> Option<i32> {
    (value.abs() <= f64::from(i32::MAX)).then_some(value as i32)
}

fn to_i64(value: f64) -> Option<i64> {
    (value.abs() < 9.2e18).then_some(value as i64)
}

fn is_interval(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Interval(_) | DataType::Duration(_))
}

/// Plans the operators by the types of their sides.
#[derive(Debug)]
pub(super) struct IntervalOperators;

impl ExprPlanner for IntervalOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let (Ok(left), Ok(right)) = (expr.left.get_type(schema), expr.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(expr));
        };
        let planned = match (&expr.op, &left, &right) {
            (BinaryOperator::Multiply, l, r) if is_interval(l) && r.is_numeric() => times(expr.left, expr.right),
            (BinaryOperator::Multiply, l, r) if l.is_numeric() && is_interval(r) => times(expr.right, expr.left),
            (BinaryOperator::Divide, l, r) if is_interval(l) && r.is_numeric() => {
                times(expr.left, lit(1.0) / cast(expr.right, DataType::Float64))
            }
            (BinaryOperator::Plus, DataType::Date32, r) if r.is_integer() => days_later(expr.right, expr.left),
            (BinaryOperator::Plus, l, DataType::Date32) if l.is_integer() => days_later(expr.left, expr.right),
            (BinaryOperator::Minus, DataType::Date32, r) if r.is_integer() => {
                days_later(Expr::Negative(Box::new(cast(expr.right, DataType::Int64))), expr.left)
            }
            (BinaryOperator::Plus | BinaryOperator::Minus, DataType::Date32, r) if is_interval(r) => {
                let left = cast(expr.left, TIMESTAMP);
                return Ok(PlannerResult::Original(RawBinaryExpr { left, ..expr }));
            }
            (BinaryOperator::Plus, l, DataType::Date32) if is_interval(l) => {
                let right = cast(expr.right, TIMESTAMP);
                return Ok(PlannerResult::Original(RawBinaryExpr { right, ..expr }));
            }
            _ => return Ok(PlannerResult::Original(expr)),
        };
        Ok(PlannerResult::Planned(planned))
    }
}

fn times(interval: Expr, factor: Expr) -> Expr {
    ScalarUDF::new_from_impl(interval_multiply()).call(vec![interval, factor])
}

fn days_later(days: Expr, date: Expr) -> Expr {
    ScalarUDF::new_from_impl(datetime::dateadd()).call(vec![lit("day"), days, date])
}
