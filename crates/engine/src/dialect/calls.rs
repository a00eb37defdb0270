//! Function calls of other databases as calls, CASE expressions and operators that DataFusion plans.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArgumentList, FunctionArguments,
};

use super::{
    DialectError,
    build::{self, bare_identifier, binary, call, case, cast, literal_text, nested, number, text},
    json_path, types,
};
use crate::functions::DatePart;

/// Other names of DataFusion's functions.
const RENAMED: [(&str, &str); 33] = [
    ("approx_count_distinct", "approx_distinct"),
    ("array_size", "array_length"),
    ("booland_agg", "bool_and"),
    ("boolor_agg", "bool_or"),
    ("ceiling", "ceil"),
    ("char", "chr"),
    ("curdate", "current_date"),
    ("date_from_parts", "make_date"),
    ("datefromparts", "make_date"),
    ("editdistance", "levenshtein"),
    ("endswith", "ends_with"),
    ("every", "bool_and"),
    ("from_utc_timestamp", "utc_to_local"),
    ("json_array_length", "json_length"),
    ("json_extract_path_text", "json_as_text"),
    ("json_extract_path", "json_get_json"),
    ("lcase", "lower"),
    ("len", "character_length"),
    ("logical_and", "bool_and"),
    ("logical_or", "bool_or"),
    ("sign", "signum"),
    ("split", "string_to_array"),
    ("startswith", "starts_with"),
    ("stdev", "stddev"),
    ("stdevp", "stddev_pop"),
    ("str_split", "string_to_array"),
    ("string_split", "string_to_array"),
    ("to_json_string", "json_from_scalar"),
    ("to_utc_timestamp", "local_to_utc"),
    ("truncate", "trunc"),
    ("typeof", "arrow_typeof"),
    ("ucase", "upper"),
    ("varp", "var_pop"),
];

/// Window functions that count: bigint as everywhere else, where DataFusion has unsigned numbers, of which tables make decimals and
/// which cannot be subtracted.
const RANKS: [&str; 4] = ["dense_rank", "ntile", "rank", "row_number"];

/// Functions whose first argument names a part of a date.
const PART_FIRST: [&str; 10] = [
    "dateadd",
    "date_add",
    "timestampadd",
    "datediff",
    "date_diff",
    "timestampdiff",
    "date_trunc",
    "datetrunc",
    "date_part",
    "datepart",
];

/// The expression to put in a call's place; None if the call stays (it may have been changed in place).
pub(super) fn rewrite(function: &mut Function) -> Result<Option<Expr>, DialectError> {
    let Some(name) = build::function_name(function) else { return Ok(None) };
    quote_part(&name, function);
    if let Some((_, target)) = RENAMED.iter().find(|(from, _)| *from == name) {
        function.name = build::name(target);
        return Ok(None);
    }
    if function.over.is_some() && RANKS.contains(&name.as_str()) {
        return Ok(Some(cast(Expr::Function(function.clone()), DataType::BigInt(None))));
    }
    if let Some(aggregate) = aggregate(&name, function) {
        return Ok(Some(aggregate));
    }
    if function.over.is_some() || function.filter.is_some() || !function.within_group.is_empty() {
        return Ok(None);
    }
    let Some(args) = build::plain_arguments(function) else { return Ok(None) };
    if let Some(expr) = json(&name, &args) {
        return expr.map(Some).map_err(|message| {
            DialectError::at(function, message, "write the path as a literal such as '$.name[0].family'")
        });
    }
    Ok(conditional(&name, &args)
        .or_else(|| clock(&name, &args))
        .or_else(|| date(&name, &args))
        .or_else(|| value(&name, &args)))
}

/// `dateadd(day, …)` as `dateadd('day', …)`: the part is a name, not a column.
fn quote_part(name: &str, function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    let position = match name {
        _ if PART_FIRST.contains(&name) => 0,
        "last_day" | "first_day" | "timestamp_trunc" | "datetime_trunc" => 1,
        _ => return,
    };
    // `date_trunc(x, month)` is BigQuery's order; both are understood where the other argument cannot be a part.
    if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))) = list.args.get_mut(position)
        && let Some(part) = bare_identifier(expr)
        && is_part(part)
    {
        *expr = text(part.to_lowercase());
    }
}

/// Names that `date_part` knows beside the parts that can be added.
const FIELDS: [&str; 9] =
    ["dow", "doy", "isodow", "isoyear", "epoch", "dayofweek", "dayofyear", "weekday", "nanosecond"];

fn is_part(name: &str) -> bool {
    DatePart::parse(name).is_some() || FIELDS.contains(&name.to_lowercase().as_str())
}

/// Aggregates; these may have DISTINCT, ORDER BY, FILTER and OVER.
fn aggregate(name: &str, function: &mut Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &mut function.args else { return None };
    match name {
        "count_if" | "countif" => {
            let condition = only_argument(list)?;
            list.args = vec![unnamed(case(vec![(condition, number(1))], None))];
            function.name = build::name("count");
        }
        // DataFusion plans WITHIN GROUP only without OVER; the argument form is the same function.
        "percentile_cont" | "percentile_disc" if function.over.is_some() && function.within_group.len() == 1 => {
            let order = function.within_group.pop()?;
            let share = only_argument(list)?;
            let share = match (order.options.asc, name) {
                (Some(false), "percentile_cont") => binary(number(1), BinaryOperator::Minus, share),
                (Some(false), _) => {
                    function.within_group.push(order);
                    return None;
                }
                _ => share,
            };
            list.args = vec![unnamed(order.expr), unnamed(share)];
        }
        "mode" if list.args.is_empty() => {
            let order = function.within_group.pop()?;
            list.args = vec![unnamed(order.expr)];
        }
        "listagg" | "group_concat" | "string_agg" => {
            let mut separator = text(if name == "group_concat" { "," } else { "" });
            list.clauses.retain(|clause| match clause {
                FunctionArgumentClause::Separator(value) => {
                    separator = Expr::Value(value.clone());
                    false
                }
                FunctionArgumentClause::OnOverflow(_) => false,
                _ => true,
            });
            let mut joined = None;
            if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(value))) = list.args.first_mut() {
                let original = std::mem::replace(value, cast(value.clone(), DataType::Varchar(None)));
                joined = Some((original, value.clone()));
            }
            if list.args.len() == 1 {
                list.args.push(unnamed(separator));
            }
            let order = std::mem::take(&mut function.within_group);
            if !order.is_empty() {
                list.clauses.push(FunctionArgumentClause::OrderBy(order));
            }
            // With DISTINCT the order must be that of the very argument: the text.
            if let (Some(DuplicateTreatment::Distinct), Some((original, text))) = (&list.duplicate_treatment, &joined) {
                for clause in &mut list.clauses {
                    if let FunctionArgumentClause::OrderBy(order) = clause {
                        order
                            .iter_mut()
                            .filter(|item| item.expr == *original)
                            .for_each(|item| item.expr = text.clone());
                    }
                }
            }
            function.name = build::name("string_agg");
        }
        _ => return None,
    }
    Some(Expr::Function(function.clone()))
}

fn only_argument(list: &FunctionArgumentList) -> Option<Expr> {
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] => Some(expr.clone()),
        _ => None,
    }
}

fn unnamed(expr: Expr) -> FunctionArg {
    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
}

fn conditional(name: &str, args: &[Expr]) -> Option<Expr> {
    Some(match (name, args) {
        ("iff" | "if", [condition, yes, no]) => case(vec![(condition.clone(), yes.clone())], Some(no.clone())),
        ("isnull", [x]) => Expr::Nested(Box::new(Expr::IsNull(Box::new(nested(x.clone()))))),
        ("isnull", [x, otherwise]) => call("coalesce", vec![x.clone(), otherwise.clone()]),
        ("zeroifnull", [x]) => call("coalesce", vec![x.clone(), number(0)]),
        ("nullifzero", [x]) => call("nullif", vec![x.clone(), number(0)]),
        ("equal_null", [a, b]) => {
            Expr::Nested(Box::new(Expr::IsNotDistinctFrom(Box::new(nested(a.clone())), Box::new(nested(b.clone())))))
        }
        ("decode", [x, rest @ ..]) if rest.len() >= 2 => {
            let pairs = rest.chunks_exact(2).map(|pair| {
                let same = Expr::IsNotDistinctFrom(Box::new(nested(x.clone())), Box::new(nested(pair[0].clone())));
                (same, pair[1].clone())
            });
            case(pairs.collect(), rest.chunks_exact(2).remainder().first().cloned())
        }
        ("mod", [a, b]) => binary(a.clone(), BinaryOperator::Modulo, b.clone()),
        ("safe_divide", [a, b]) => {
            let double = |expr: &Expr| cast(nested(expr.clone()), DataType::DoublePrecision);
            binary(double(a), BinaryOperator::Divide, call("nullif", vec![double(b), number(0)]))
        }
        ("div0", [a, b]) => {
            let zero = binary(b.clone(), BinaryOperator::Eq, number(0));
            case(vec![(zero, number(0))], Some(binary(a.clone(), BinaryOperator::Divide, b.clone())))
        }
        ("div0null", [a, b]) => {
            let divisor = call("nullif", vec![call("coalesce", vec![b.clone(), number(0)]), number(0)]);
            call("coalesce", vec![binary(a.clone(), BinaryOperator::Divide, divisor), number(0)])
        }
        _ => return None,
    })
}

/// What time it is. Microseconds, and the same for a whole statement.
fn clock(name: &str, args: &[Expr]) -> Option<Expr> {
    if !args.is_empty() {
        return None;
    }
    let now = || call("now", Vec::new());
    Some(match name {
        "getdate" | "sysdate" | "getutcdate" | "sysdatetime" | "sysutcdatetime" | "localtimestamp" => {
            cast(now(), types::timestamp())
        }
        "now" | "current_timestamp" | "systimestamp" | "transaction_timestamp" | "statement_timestamp" => {
            call("to_timestamp_tz", vec![now()])
        }
        _ => return None,
    })
}

fn date(name: &str, args: &[Expr]) -> Option<Expr> {
    let part_text = |expr: &Expr| {
        let part = bare_identifier(expr).or_else(|| literal_text(expr))?;
        DatePart::parse(part).map(|_| text(part.to_lowercase()))
    };
    Some(match (name, args) {
        ("age", [x]) => call("age", vec![call("current_date", Vec::new()), x.clone()]),
        // Moving by an interval, as in BigQuery, DuckDB, MySQL and Spark; Spark also moves by days.
        ("date_add" | "dateadd" | "timestamp_add" | "datetime_add", [x, by]) => moved(x, by, BinaryOperator::Plus),
        ("date_sub" | "datesub" | "timestamp_sub" | "datetime_sub", [x, by]) => moved(x, by, BinaryOperator::Minus),
        // The part last is BigQuery's order: date_diff(later, earlier, day).
        ("date_diff" | "datediff" | "timestamp_diff" | "datetime_diff", [later, earlier, part])
            if part_text(&args[0]).is_none() && part_text(part).is_some() =>
        {
            call("datediff", vec![part_text(part)?, earlier.clone(), later.clone()])
        }
        // Two dates are MySQL's and Spark's order: datediff(later, earlier) in days.
        ("datediff" | "date_diff", [later, earlier]) => {
            call("datediff", vec![text("day"), earlier.clone(), later.clone()])
        }
        ("timestamp_trunc" | "datetime_trunc", [x, part]) => call("date_trunc", vec![part.clone(), x.clone()]),
        ("date_trunc", [x, part]) if literal_text(x).is_none() => call("date_trunc", vec![part_text(part)?, x.clone()]),
        ("timezone", [zone, x]) => call("at_time_zone", vec![x.clone(), zone.clone()]),
        ("add_months", [x, months]) => call("dateadd", vec![text("month"), months.clone(), x.clone()]),
        ("add_days", [x, days]) => call("dateadd", vec![text("day"), days.clone(), x.clone()]),
        _ => return None,
    })
}

fn moved(x: &Expr, by: &Expr, op: BinaryOperator) -> Expr {
    match by {
        Expr::Interval(_) | Expr::Nested(_) | Expr::Function(_) => binary(x.clone(), op, by.clone()),
        days => {
            let days = if op == BinaryOperator::Minus { binary(number(0), op, days.clone()) } else { days.clone() };
            call("dateadd", vec![text("day"), days, x.clone()])
        }
    }
}

fn value(name: &str, args: &[Expr]) -> Option<Expr> {
    let hex = |digest: &str, x: &Expr| Some(call("encode", vec![call(digest, vec![x.clone()]), text("hex")]));
    match (name, args) {
        ("convert", [data_type, x, ..]) => {
            let mut data_type = super::parse_type(&data_type.to_string())?;
            types::rewrite(&mut data_type);
            Some(cast(x.clone(), data_type))
        }
        ("space", [n]) => Some(call("repeat", vec![text(" "), n.clone()])),
        ("sha2" | "sha2_hex", [x]) => hex("sha256", x),
        ("sha2" | "sha2_hex", [x, Expr::Value(bits)]) => match bits.value.to_string().as_str() {
            "224" => hex("sha224", x),
            "0" | "256" => hex("sha256", x),
            "384" => hex("sha384", x),
            "512" => hex("sha512", x),
            _ => None,
        },
        ("notnull", [x]) => Some(Expr::Nested(Box::new(Expr::IsNotNull(Box::new(nested(x.clone())))))),
        ("ifnull", [x, otherwise]) => Some(call("coalesce", vec![x.clone(), otherwise.clone()])),
        ("nvl", [x, otherwise]) => Some(call("coalesce", vec![x.clone(), otherwise.clone()])),
        ("nvl2", [x, yes, no]) => {
            Some(case(vec![(Expr::IsNotNull(Box::new(nested(x.clone()))), yes.clone())], Some(no.clone())))
        }
        _ => None,
    }
}

/// JSON access by a path; an error message if the path cannot be understood.
fn json(name: &str, args: &[Expr]) -> Option<Result<Expr, &'static str>> {
    let target = match name {
        "get_path" | "json_value" | "json_extract_scalar" | "json_extract_string" | "get_json_object" => "json_as_text",
        "json_extract" | "json_query" => "json_get_json",
        _ => return None,
    };
    let [json, path] = args else { return None };
    let Some(path) = literal_text(path) else { return Some(Err("the path of a JSON value must be a literal")) };
    let Some(steps) = json_path::steps(path) else { return Some(Err("the JSON path selects no single value")) };
    let mut call_args = vec![json.clone()];
    call_args.extend(steps);
    Some(Ok(call(target, call_args)))
}
