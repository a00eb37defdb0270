//! The walk over a statement: what each kind of node is rewritten to.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, Expr, Interval, LimitClause, Query, Select, SetExpr, Statement, TableFactor, TopQuantity,
    UnaryOperator, Value, VisitorMut,
};

use super::{
    DialectError,
    build::{self, binary, call, text},
    calls, json_path, names, pivot, precedence, tuples, types,
};
use crate::functions::{NUMERIC_LITERAL, beyond_floats};

/// Rewrites a statement in place, children before parents.
pub(super) struct Rewriter;

impl VisitorMut for Rewriter {
    type Break = DialectError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<DialectError> {
        names::order_by_name(query);
        into_flow(limit(query))
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<DialectError> {
        names::keep(select);
        if let Some(top) = &select.top {
            let help = "write `… ORDER BY … LIMIT n` around this SELECT";
            return ControlFlow::Break(DialectError::at(select, format!("{top} is not supported here"), help));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<DialectError> {
        into_flow(pivot::rewrite(factor))
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<DialectError> {
        let sampled = match factor {
            TableFactor::Table { sample, .. } | TableFactor::Derived { sample, .. } => sample.is_some(),
            _ => false,
        };
        if sampled {
            let help =
                "filter by a hash of a key, for example `WHERE hash(id) % 100 = 0` for about one row in a hundred";
            return ControlFlow::Break(DialectError::at(factor, "TABLESAMPLE is not supported", help));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<DialectError> {
        precedence::restore(expr);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<DialectError> {
        match rewrite(expr) {
            Ok(Some(rewritten)) => *expr = rewritten,
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &mut Statement) -> ControlFlow<DialectError> {
        if let Statement::CreateTable(create) = statement {
            create.columns.iter_mut().for_each(|column| types::rewrite(&mut column.data_type));
        }
        ControlFlow::Continue(())
    }
}

fn into_flow(result: Result<(), DialectError>) -> ControlFlow<DialectError> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

/// TOP and FETCH as LIMIT; refuses what DataFusion would ignore.
fn limit(query: &mut Query) -> Result<(), DialectError> {
    if query.for_clause.is_some() {
        return Err(DialectError::at(
            query,
            "FOR JSON, FOR XML and FOR BROWSE are not supported",
            "leave the clause out",
        ));
    }
    if let SetExpr::Select(select) = query.body.as_mut()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && let Some(top) = select.top.take()
    {
        if top.with_ties || top.percent {
            return Err(ties(query));
        }
        let limit = match top.quantity {
            Some(TopQuantity::Expr(expr)) => Some(expr),
            Some(TopQuantity::Constant(count)) => Some(build::number(i64::try_from(count).unwrap_or(i64::MAX))),
            None => None,
        };
        query.limit_clause = Some(LimitClause::LimitOffset { limit, offset: None, limit_by: Vec::new() });
    }
    if let Some(fetch) = query.fetch.take() {
        if fetch.with_ties || fetch.percent {
            return Err(ties(query));
        }
        let count = fetch.quantity.unwrap_or_else(|| build::number(1));
        match &mut query.limit_clause {
            Some(LimitClause::LimitOffset { limit, .. }) => *limit = Some(count),
            Some(LimitClause::OffsetCommaLimit { .. }) => {
                return Err(DialectError::at(query, "LIMIT and FETCH exclude each other", "keep one of them"));
            }
            none => {
                *none = Some(LimitClause::LimitOffset { limit: Some(count), offset: None, limit_by: Vec::new() });
            }
        }
    }
    Ok(())
}

fn ties(query: &Query) -> DialectError {
    let help = "use `QUALIFY rank() OVER (ORDER BY …) <= n`";
    DialectError::at(query, "WITH TIES and PERCENT are not supported", help)
}

fn rewrite(expr: &mut Expr) -> Result<Option<Expr>, DialectError> {
    Ok(match expr {
        Expr::Function(function) => calls::rewrite(function)?,
        Expr::Cast { .. } => cast(expr),
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => beyond_floats(number).map(|digits| call(NUMERIC_LITERAL, vec![text(digits)])),
            _ => None,
        },
        // DataFusion's is a cast, whose result is an instant in any case.
        Expr::AtTimeZone { timestamp, time_zone } => {
            Some(call("at_time_zone", vec![timestamp.as_ref().clone(), time_zone.as_ref().clone()]))
        }
        Expr::TypedString(typed) => {
            types::rewrite(&mut typed.data_type);
            if types::is_zoned(&typed.data_type) {
                let value = Expr::Value(typed.value.clone());
                Some(call("to_timestamp_tz", vec![value]))
            } else {
                None
            }
        }
        Expr::Convert { is_try, expr: value, data_type: Some(data_type), .. } => {
            let kind = if *is_try { CastKind::TryCast } else { CastKind::Cast };
            let (expr, data_type) = (value.clone(), data_type.clone());
            let mut converted = Expr::Cast { kind, expr, data_type, array: false, format: None };
            cast(&mut converted).or(Some(converted))
        }
        Expr::Interval(interval) => scaled_interval(interval),
        Expr::JsonAccess { value, path } => {
            let mut args = vec![value.as_ref().clone()];
            args.extend(json_path::access_steps(path));
            Some(call("json_as_text", args))
        }
        Expr::InSubquery { expr, subquery, negated } => tuples::rewrite(expr, subquery, *negated).transpose()?,
        Expr::InList { expr, list, negated } => tuples::in_list(expr, list, *negated),
        Expr::BinaryOp { left, op, right } => tuples::compare(left, op, right),
        Expr::Like { negated, any: true, expr, pattern, escape_char } => {
            any_of(pattern, *negated, |pattern| Expr::Like {
                negated: false,
                any: false,
                expr: expr.clone(),
                pattern: Box::new(pattern),
                escape_char: escape_char.clone(),
            })
        }
        Expr::ILike { negated, any: true, expr, pattern, escape_char } => {
            any_of(pattern, *negated, |pattern| Expr::ILike {
                negated: false,
                any: false,
                expr: expr.clone(),
                pattern: Box::new(pattern),
                escape_char: escape_char.clone(),
            })
        }
        Expr::RLike { negated, expr, pattern, .. } => {
            let found = call("regexp_like", vec![expr.as_ref().clone(), pattern.as_ref().clone()]);
            Some(if *negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(found) } } else { found })
        }
        _ => None,
    })
}

/// `x LIKE ANY ('a%', 'b%')` as alternatives.
fn any_of(patterns: &Expr, negated: bool, like: impl Fn(Expr) -> Expr) -> Option<Expr> {
    let patterns = match patterns {
        Expr::Tuple(patterns) => patterns.clone(),
        Expr::Nested(pattern) => vec![pattern.as_ref().clone()],
        _ => return None,
    };
    let any = patterns.into_iter().map(like).reduce(|any, next| binary(any, BinaryOperator::Or, next))?;
    let any = Expr::Nested(Box::new(any));
    Some(if negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(any) } } else { any })
}

/// A cast with its type known to DataFusion. A try_cast reads text without the white space around it, '' as NULL.
fn cast(expr: &mut Expr) -> Option<Expr> {
    let Expr::Cast { kind, expr: value, data_type, format, .. } = expr else { return None };
    types::rewrite(data_type);
    // A rank has become one of bigint by itself.
    if *kind == CastKind::Cast
        && let Expr::Cast { kind: CastKind::Cast, data_type: inner, .. } = value.as_ref()
        && inner == data_type
    {
        return Some(value.as_ref().clone());
    }
    // BigQuery's FORMAT clause would be ignored by the planner; left in place it is refused there.
    let lenient = matches!(kind, CastKind::TryCast | CastKind::SafeCast);
    if lenient && format.is_none() {
        *kind = CastKind::TryCast;
        if !types::is_text(data_type) {
            let inner = value.as_ref().clone();
            **value = call("trim_to_null", vec![inner]);
        }
    }
    if types::is_zoned(data_type) {
        let function = if lenient { "try_to_timestamp_tz" } else { "to_timestamp_tz" };
        // An instant in UTC, whatever the session's zone.
        return Some(call(function, vec![value.as_ref().clone()]));
    }
    None
}

/// `INTERVAL x DAY` with a column or a sum as `INTERVAL '1 day' * x`; literals are DataFusion's own.
fn scaled_interval(interval: &mut Interval) -> Option<Expr> {
    let unit = interval.leading_field.clone()?;
    if let Some(value) = build::literal_text(&interval.value) {
        // DataFusion reads the unit from the text.
        let value = text(format!("{} {}", value.trim(), unit.to_string().to_lowercase()));
        if interval.last_field.is_some() {
            return None;
        }
        return Some(Expr::Interval(Interval {
            value: Box::new(value),
            leading_field: None,
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        }));
    }
    let one = Expr::Interval(Interval {
        value: Box::new(text(format!("1 {}", unit.to_string().to_lowercase()))),
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    });
    Some(call("interval_multiply", vec![one, interval.value.as_ref().clone()]))
}
