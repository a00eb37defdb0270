//! `(a, b) IN (SELECT …)` as EXISTS, with SQL's three-valued meaning where a WHERE clause can see it.
//!
//! IN keeps a row if some row of the subquery is equal in every part. NOT IN keeps it if every row of the subquery
//! surely differs in some part; a NULL on either side is not surely different.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Ident, Query, UnaryOperator};

use super::{
    DialectError,
    build::{binary, nested, null},
};

/// Alias of the subquery, and prefix of its columns: names nobody writes.
const ALIAS: &str = "__in";

/// The rewritten predicate, or None if the left side is no tuple.
pub(super) fn rewrite(expr: &Expr, subquery: &Query, negated: bool) -> Option<Result<Expr, DialectError>> {
    let Expr::Tuple(parts) = expr else { return None };
    let column = |i: usize| Expr::CompoundIdentifier(vec![Ident::new(ALIAS), Ident::new(format!("{ALIAS}{i}"))]);
    let mut condition = None;
    for (i, part) in parts.iter().enumerate() {
        let mut equal = binary(part.clone(), BinaryOperator::Eq, column(i));
        if negated {
            let unknown = |expr: Expr| Expr::Nested(Box::new(Expr::IsNull(Box::new(nested(expr)))));
            equal = binary(
                binary(equal, BinaryOperator::Or, unknown(part.clone())),
                BinaryOperator::Or,
                unknown(column(i)),
            );
        }
        condition = Some(match condition {
            Some(condition) => binary(condition, BinaryOperator::And, equal),
            None => equal,
        });
    }
    Some(exists(subquery, parts.len(), condition.unwrap_or_else(null), negated))
}

fn exists(subquery: &Query, columns: usize, condition: Expr, negated: bool) -> Result<Expr, DialectError> {
    let columns: Vec<_> = (0..columns).map(|i| format!("{ALIAS}{i}")).collect();
    let sql = format!("select 1 from ({subquery}) as {ALIAS}({}) where {condition}", columns.join(", "));
    let subquery = super::parse_query(&sql)?;
    Ok(if negated {
        // NOT EXISTS as its own operator keeps the anti join recognisable.
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr: Box::new(Expr::Exists { subquery: Box::new(subquery), negated: false }),
        }
    } else {
        Expr::Exists { subquery: Box::new(subquery), negated: false }
    })
}

/// `(a, b) = (c, d)` and `<>`, part by part.
pub(super) fn compare(left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<Expr> {
    let (Expr::Tuple(left), Expr::Tuple(right)) = (left, right) else { return None };
    if left.len() != right.len() || !matches!(op, BinaryOperator::Eq | BinaryOperator::NotEq) {
        return None;
    }
    let join = if *op == BinaryOperator::Eq { BinaryOperator::And } else { BinaryOperator::Or };
    let parts = left.iter().zip(right).map(|(left, right)| binary(left.clone(), op.clone(), right.clone()));
    parts.reduce(|all, part| binary(all, join.clone(), part))
}

/// `(a, b) IN ((1, 2), (3, 4))` as comparisons.
pub(super) fn in_list(expr: &Expr, list: &[Expr], negated: bool) -> Option<Expr> {
    let any = list
        .iter()
        .map(|item| compare(expr, &BinaryOperator::Eq, item))
        .collect::<Option<Vec<_>>>()?
        .into_iter()
        .reduce(|any, item| binary(any, BinaryOperator::Or, item))?;
    Some(if negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(any) } } else { any })
}
