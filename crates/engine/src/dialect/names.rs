//! Names of columns that have none of their own: the text of their expression as it was written, as in DuckDB; the
//! column's name for a cast of a column, as in PostgreSQL. So a rewritten call keeps its name, and two columns of the
//! same text do not collide, which DataFusion refuses.

use std::collections::HashMap;

use datafusion::sql::sqlparser::ast::{Expr, Ident, OrderByKind, Query, Select, SelectItem, SetExpr};

/// Names the unnamed columns of a SELECT, before anything in it is rewritten.
pub(super) fn keep(select: &mut Select) {
    let mut seen = HashMap::new();
    for item in &mut select.projection {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        let Some(name) = name(expr) else { continue };
        let count = seen.entry(name.clone()).and_modify(|count| *count += 1).or_insert(0_u32);
        let name = if *count == 0 { name } else { format!("{name}:{count}") };
        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', name) };
    }
}

/// `SELECT DISTINCT upper(x) … ORDER BY upper(x)`: DataFusion finds the column only by its name.
pub(super) fn order_by_name(query: &mut Query) {
    let (SetExpr::Select(select), Some(order_by)) = (query.body.as_mut(), &mut query.order_by) else { return };
    let OrderByKind::Expressions(order) = &mut order_by.kind else { return };
    if select.distinct.is_none() {
        return;
    }
    keep(select);
    for item in &select.projection {
        let SelectItem::ExprWithAlias { expr, alias } = item else { continue };
        order.iter_mut().filter(|order| order.expr == *expr).for_each(|order| {
            order.expr = Expr::Identifier(alias.clone());
        });
    }
}

/// None for expressions that are or expand to columns and keep their names.
fn name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::CompoundFieldAccess { .. }
        | Expr::Wildcard(_)
        | Expr::QualifiedWildcard(..) => None,
        Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("unnest") => None,
        Expr::Nested(inner) => name(inner).or_else(|| column(inner)),
        Expr::Cast { expr: inner, .. } => Some(column(inner).unwrap_or_else(|| expr.to_string())),
        other => Some(other.to_string()),
    }
}

/// The column that an expression is, by the name under which it is found.
pub(crate) fn column(expr: &Expr) -> Option<String> {
    let ident = match expr {
        Expr::Identifier(ident) => ident,
        Expr::CompoundIdentifier(parts) => parts.last()?,
        _ => return None,
    };
    // Unquoted names are lower case to DataFusion.
    Some(if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() })
}
