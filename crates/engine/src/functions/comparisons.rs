//! What is compared is what was written.
//!
//! - `amount = 4.07` for a decimal: a literal with a point is a decimal, too, as in PostgreSQL, DuckDB and Spark. DataFusion has a float
//!   and makes `4.069999999999999` of it. So it is for sums, differences and products with such literals, `0.1 + 0.2 = 0.3`, wherever
//!   they are compared; what is only shown or stored keeps its type, which is double.
//! - A decimal and a double are compared as doubles, as in PostgreSQL, where DataFusion makes decimals of 15 places of both.
//! - Text beside dates and timestamps is read by the functions that read casts: to the end of the year 9999, and with errors that do
//!   not quote it.
//!
//! This runs before types are coerced, and changes the type of nothing that leaves a comparison.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::{
    common::{DFSchema, Result, ScalarValue, tree_node::Transformed},
    config::ConfigOptions,
    logical_expr::{
        Expr, ExprSchemable, Operator, ScalarUDF, cast,
        expr::{Between, BinaryExpr, Case, Cast, InList, InSubquery, ScalarFunction, TryCast},
        expr_rewriter::FunctionRewrite,
    },
};

use super::{
    datetime,
    number::{DECIMAL_DIGITS, Exact},
    scalar::is_text,
};

/// How deep arithmetic is looked into; nobody compares with more by hand.
const LEVELS: usize = 32;

/// Aligns the sides of comparisons.
#[derive(Debug)]
pub(super) struct Comparisons {
    to_date: Arc<ScalarUDF>,
    to_timestamp: Arc<ScalarUDF>,
    to_timestamp_tz: Arc<ScalarUDF>,
}

impl Comparisons {
    pub(super) fn new() -> Self {
        let udf = |name| Arc::new(datetime::reader(name).into_udf());
        Self { to_date: udf("to_date"), to_timestamp: udf("to_timestamp"), to_timestamp_tz: udf("to_timestamp_tz") }
    }

    fn replacement(&self, expr: &Expr, schema: &DFSchema) -> Option<Expr> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
                let [left, right] = self.aligned(&[left.as_ref(), right.as_ref()], schema)?;
                Some(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), *op, Box::new(right))))
            }
            Expr::Between(Between { expr, negated, low, high }) => {
                let [expr, low, high] = self.aligned(&[expr.as_ref(), low.as_ref(), high.as_ref()], schema)?;
                Some(Expr::Between(Between::new(Box::new(expr), *negated, Box::new(low), Box::new(high))))
            }
            Expr::InList(InList { expr, list, negated }) => {
                let sides: Vec<&Expr> = std::iter::once(expr.as_ref()).chain(list).collect();
                let mut sides = self.all_aligned(&sides, schema)?.into_iter();
                Some(Expr::InList(InList::new(Box::new(sides.next()?), sides.collect(), *negated)))
            }
            Expr::Case(case) => self.case(case, schema),
            Expr::InSubquery(query) => in_subquery(query, schema),
            Expr::ScalarFunction(call) => self.call(call, schema),
            Expr::Cast(Cast { expr, field }) => {
                let expr = Box::new(exact_operand(expr, field.data_type())?);
                Some(Expr::Cast(Cast::new_from_field(expr, Arc::clone(field))))
            }
            Expr::TryCast(TryCast { expr, field }) => {
                let expr = Box::new(exact_operand(expr, field.data_type())?);
                Some(Expr::TryCast(TryCast::new_from_field(expr, Arc::clone(field))))
            }
            _ => None,
        }
    }

    /// `CASE x WHEN …` compares x with each value.
    fn case(&self, case: &Case, schema: &DFSchema) -> Option<Expr> {
        let operand = case.expr.as_ref()?;
        let whens = case.when_then_expr.iter().map(|(when, _)| when.as_ref());
        let sides: Vec<&Expr> = std::iter::once(operand.as_ref()).chain(whens).collect();
        let mut sides = self.all_aligned(&sides, schema)?.into_iter();
        let operand = Box::new(sides.next()?);
        let branches = sides.zip(&case.when_then_expr).map(|(when, (_, then))| (Box::new(when), then.clone()));
        Some(Expr::Case(Case::new(Some(operand), branches.collect(), case.else_expr.clone())))
    }

    fn call(&self, call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
        let [first, second] = call.args.as_slice() else { return None };
        let args = match call.name() {
            "nullif" => {
                let [aligned, second] = self.aligned(&[first, second], schema)?;
                // What comes out is the first one: it stays as it is.
                if aligned != *first {
                    return None;
                }
                vec![aligned, second]
            }
            // Given as another kind of integer it is cast, and for a decimal that is no longer a constant: the type of the result would
            // be another one than that of its values.
            "round" => match second {
                Expr::Literal(ScalarValue::Int64(Some(places)), _) => {
                    let places = ScalarValue::Int32(Some(i32::try_from(*places).ok()?));
                    vec![first.clone(), Expr::Literal(places, None)]
                }
                _ => return None,
            },
            _ => return None,
        };
        Some(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&call.func), args)))
    }

    fn aligned<const N: usize>(&self, sides: &[&Expr; N], schema: &DFSchema) -> Option<[Expr; N]> {
        self.all_aligned(sides, schema)?.try_into().ok()
    }

    /// The sides as they are to be compared; none if that is as they are.
    fn all_aligned(&self, sides: &[&Expr], schema: &DFSchema) -> Option<Vec<Expr>> {
        let types: Vec<DataType> = sides.iter().map(|side| side.get_type(schema).ok()).collect::<Option<_>>()?;
        if types.iter().any(DataType::is_floating) {
            return numbers(sides, &types, schema);
        }
        if types.iter().any(is_text) {
            let reader = self.reader(&types)?;
            let read = |(side, data_type): (&&Expr, &DataType)| {
                if is_text(data_type) { reader.call(vec![(*side).clone()]) } else { (*side).clone() }
            };
            return Some(sides.iter().zip(&types).map(read).collect());
        }
        None
    }

    /// The function that reads text for a comparison with dates or timestamps.
    fn reader(&self, types: &[DataType]) -> Option<&ScalarUDF> {
        let timestamp = types.iter().find_map(|data_type| match data_type {
            DataType::Timestamp(_, zone) => Some(zone.is_some()),
            _ => None,
        });
        match timestamp {
            Some(true) => Some(self.to_timestamp_tz.as_ref()),
            Some(false) => Some(self.to_timestamp.as_ref()),
            None => types.contains(&DataType::Date32).then(|| self.to_date.as_ref()),
        }
    }
}

fn is_comparison(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

fn is_decimal(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Decimal128(..))
}

/// A literal that is cast to a decimal, with all of its digits.
fn exact_operand(expr: &Expr, target: &DataType) -> Option<Expr> {
    let is_float = !matches!(expr, Expr::Literal(ScalarValue::Int64(_), _));
    (is_float && is_decimal(target)).then(|| Exact::of(expr))?.map(Exact::literal)
}

/// Numbers of which at least one is a float: all exact if literals alone make floats of them, else decimals become floats.
fn numbers(sides: &[&Expr], types: &[DataType], schema: &DFSchema) -> Option<Vec<Expr>> {
    let has_decimal = types.iter().any(is_decimal);
    let exact: Option<Vec<Side>> = sides.iter().map(|side| Side::of(side, schema, LEVELS)).collect();
    if let Some(exact) = exact
        && (has_decimal || exact.iter().any(|side| side.is_worked_out))
    {
        let most = |digits: fn(&Side) -> usize| exact.iter().map(digits).max().unwrap_or(0);
        if most(|side| side.whole) + most(|side| side.scale) <= DECIMAL_DIGITS {
            return Some(exact.into_iter().map(|side| side.expr).collect());
        }
    }
    let as_float = |(side, data_type): (&&Expr, &DataType)| {
        if is_decimal(data_type) { cast((*side).clone(), DataType::Float64) } else { (*side).clone() }
    };
    has_decimal.then(|| sides.iter().zip(types).map(as_float).collect())
}

fn in_subquery(query: &InSubquery, schema: &DFSchema) -> Option<Expr> {
    let data_type = query.expr.get_type(schema).ok()?;
    let column = query.subquery.subquery.schema().field(0).data_type();
    let expr = match (is_decimal(&data_type), is_decimal(column)) {
        (true, false) if column.is_floating() => cast(query.expr.as_ref().clone(), DataType::Float64),
        (false, true) if data_type.is_floating() => Exact::of(&query.expr)?.literal(),
        _ => return None,
    };
    Some(Expr::InSubquery(InSubquery::new(Box::new(expr), query.subquery.clone(), query.negated)))
}

/// A number without rounding, and how many digits it may have.
struct Side {
    expr: Expr,
    whole: usize,
    scale: usize,
    /// Arithmetic that was done with floats as long as its literals were floats.
    is_worked_out: bool,
}

impl Side {
    /// None if there is a float in it that is no literal, or if it may have more digits than a decimal.
    fn of(expr: &Expr, schema: &DFSchema, levels: usize) -> Option<Self> {
        let levels = levels.checked_sub(1)?;
        if let Some(exact) = Exact::of(expr) {
            let (whole, scale) = (exact.whole_digits(), exact.scale());
            return Some(Self { expr: exact.literal(), whole, scale, is_worked_out: false });
        }
        let data_type = expr.get_type(schema).ok()?;
        if !data_type.is_floating() {
            let (whole, scale) = digits(&data_type)?;
            return Some(Self { expr: expr.clone(), whole, scale, is_worked_out: false });
        }
        match expr {
            Expr::Negative(inner) => {
                let inner = Self::of(inner, schema, levels)?;
                Some(Self { expr: Expr::Negative(Box::new(inner.expr)), is_worked_out: true, ..inner })
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let (left, right) = (Self::of(left, schema, levels)?, Self::of(right, schema, levels)?);
                let (whole, scale) = match op {
                    Operator::Plus | Operator::Minus => (left.whole.max(right.whole) + 1, left.scale.max(right.scale)),
                    Operator::Multiply => (left.whole + right.whole + 1, left.scale + right.scale),
                    _ => return None,
                };
                if whole + scale > DECIMAL_DIGITS {
                    return None;
                }
                let expr = BinaryExpr::new(Box::new(left.expr), *op, Box::new(right.expr));
                Some(Self { expr: Expr::BinaryExpr(expr), whole, scale, is_worked_out: true })
            }
            _ => None,
        }
    }
}

/// Digits before and behind the point of what is no float, as DataFusion coerces it beside decimals.
fn digits(data_type: &DataType) -> Option<(usize, usize)> {
    Some(match data_type {
        DataType::Decimal128(precision, scale) => {
            let scale = usize::try_from(*scale).ok()?;
            (usize::from(*precision).saturating_sub(scale), scale)
        }
        DataType::Int8 | DataType::UInt8 => (3, 0),
        DataType::Int16 | DataType::UInt16 => (5, 0),
        DataType::Int32 | DataType::UInt32 => (10, 0),
        DataType::Int64 | DataType::UInt64 => (20, 0),
        DataType::Null => (0, 0),
        _ => return None,
    })
}

impl FunctionRewrite for Comparisons {
    fn name(&self) -> &str {
        "wardlake_comparisons"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        Ok(match self.replacement(&expr, schema) {
            Some(replacement) => Transformed::yes(replacement),
            None => Transformed::no(expr),
        })
    }
}
