//! `a IS DISTINCT FROM b AND c` is `(a IS DISTINCT FROM b) AND c`. The parser takes everything behind FROM for the right
//! side, since it reads it without a precedence; here it is put right. Parentheses of the author are nodes of their own.

use std::mem;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Value};

/// Rotates an `IS [NOT] DISTINCT FROM` that swallowed an AND or OR behind it.
pub(super) fn restore(expr: &mut Expr) {
    let (is_not, left, right) = match expr {
        Expr::IsDistinctFrom(left, right) => (false, left, right),
        Expr::IsNotDistinctFrom(left, right) => (true, left, right),
        _ => return,
    };
    if !is_logical(right) {
        return;
    }
    let left = mem::replace(left, placeholder());
    let mut whole = mem::replace(right.as_mut(), *placeholder());
    let leaf = leftmost(&mut whole);
    let compared = Box::new(mem::replace(leaf, *placeholder()));
    *leaf = if is_not { Expr::IsNotDistinctFrom(left, compared) } else { Expr::IsDistinctFrom(left, compared) };
    *expr = whole;
}

fn is_logical(expr: &Expr) -> bool {
    matches!(expr, Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. })
}

/// The first operand of a chain of ANDs and ORs: what stands directly behind FROM.
fn leftmost(expr: &mut Expr) -> &mut Expr {
    if is_logical(expr)
        && let Expr::BinaryOp { left, .. } = expr
    {
        return leftmost(left);
    }
    expr
}

fn placeholder() -> Box<Expr> {
    Box::new(Expr::Value(Value::Null.into()))
}
