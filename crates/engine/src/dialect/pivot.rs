//! `t PIVOT (sum(x) FOR y IN ('a', 'b' AS c))` as a grouped query with one CASE per value.

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, PivotValueSource, Spanned, TableAlias, TableFactor,
};

use super::{
    DialectError,
    build::{self, binary},
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// Rewrites a PIVOT over a list of literals; other forms are refused.
pub(super) fn rewrite(factor: &mut TableFactor) -> Result<(), DialectError> {
    let TableFactor::Pivot { table, aggregate_functions, value_column, value_source, alias, .. } = factor else {
        if matches!(factor, TableFactor::Unpivot { .. }) {
            return Err(refused(
                factor,
                "UNPIVOT is not supported",
                "select each column under one name and UNION ALL them",
            ));
        }
        return Ok(());
    };
    let help = "write PIVOT (aggregate(column) FOR column IN ('a', 'b' AS name, …))";
    let ([aggregate], [by], PivotValueSource::List(values)) =
        (aggregate_functions.as_slice(), value_column.as_slice(), &*value_source)
    else {
        return Err(refused(factor, "this form of PIVOT is not supported", help));
    };
    let Some((column, used)) = conditional(&aggregate.expr) else {
        return Err(refused(factor, "PIVOT needs one aggregate of one column", help));
    };
    let mut items = vec![format!("* exclude ({})", excluded(by, used.as_ref()))];
    for value in values {
        let is_value = binary(by.clone(), BinaryOperator::Eq, value.expr.clone());
        let name = match &value.alias {
            Some(alias) => alias.clone(),
            None => Ident::with_quote(
                '"',
                build::literal_text(&value.expr).map_or_else(|| value.expr.to_string(), str::to_owned),
            ),
        };
        items.push(format!("{} as {name}", column(is_value)));
    }
    let sql = format!("select {} from {table} group by all", items.join(", "));
    let alias = alias.clone().or_else(|| Some(default_alias(table)));
    *factor =
        TableFactor::Derived { lateral: false, subquery: Box::new(super::parse_query(&sql)?), alias, sample: None };
    Ok(())
}

fn refused(node: &impl Spanned, message: &str, help: &str) -> DialectError {
    DialectError::at(node, message, help)
}

fn default_alias(table: &TableFactor) -> TableAlias {
    let name = match table {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            alias.name.clone()
        }
        TableFactor::Table { name, .. } => {
            name.0.last().and_then(|part| part.as_ident()).cloned().unwrap_or_else(|| Ident::new("pivoted"))
        }
        _ => Ident::new("pivoted"),
    };
    TableAlias { explicit: true, name, columns: Vec::new(), at: None }
}

fn excluded(by: &Expr, used: Option<&Expr>) -> String {
    let name = |expr: &Expr| match expr {
        Expr::CompoundIdentifier(parts) => parts.last().map(ToString::to_string).unwrap_or_default(),
        other => other.to_string(),
    };
    match used {
        Some(used) if used != by => format!("{}, {}", name(by), name(used)),
        _ => name(by),
    }
}

/// The aggregate as a function of the condition on its rows, and the column it reads.
fn conditional(aggregate: &Expr) -> Option<(impl Fn(Expr) -> Expr + use<>, Option<Expr>)> {
    let Expr::Function(function) = aggregate else { return None };
    let FunctionArguments::List(list) = &function.args else { return None };
    let [FunctionArg::Unnamed(arg)] = list.args.as_slice() else { return None };
    let used = match arg {
        FunctionArgExpr::Expr(expr @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_))) => Some(expr.clone()),
        FunctionArgExpr::Wildcard => None,
        FunctionArgExpr::Expr(_) => return None,
        _ => return None,
    };
    let counted = used.clone().unwrap_or_else(|| build::number(1));
    let function = function.clone();
    let build = move |condition: Expr| {
        let mut function = function.clone();
        if let FunctionArguments::List(list) = &mut function.args {
            let value = build::case(vec![(condition, counted.clone())], None);
            list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(value))];
        }
        Expr::Function(function)
    };
    Some((build, used))
}
