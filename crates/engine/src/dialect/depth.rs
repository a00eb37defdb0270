//! How deep a statement nests. Much of what parses, plans and runs a statement calls itself once per level, and a stack that is full
//! ends the whole process: what is deeper than any of it can go is refused here, with what to do instead.
//!
//! Long chains of AND, OR and UNION ALL are no levels: they mean the same in any order of joining, and are made flat.

use std::{mem, ops::ControlFlow, thread};

use datafusion::sql::{
    parser::{CopyToSource, DFParserBuilder, Statement},
    sqlparser::{
        ast::{
            BinaryOperator, Expr, Query, SetExpr, SetOperator, SetQuantifier, Value, Values, Visit, VisitMut, Visitor,
            VisitorMut,
        },
        dialect::GenericDialect,
    },
};

use super::{DialectError, RECURSION_LIMIT};

/// Most levels of expressions, and of set operations, within each other.
const MOST_LEVELS: usize = 500;

/// Most terms of one chain of AND: optimisers take such chains apart, and join them to a tree as deep as they are long.
const MOST_CONDITIONS: usize = 1_000;

/// Most open brackets, those of types included.
const MOST_BRACKETS: usize = 200;

/// Most times that EXPLAIN may stand before a statement; the second has no meaning.
const MOST_EXPLAINS: usize = 2;

/// Chains of fewer terms stay as they are.
const SHORT: usize = 16;

/// Bytes of a text that is parsed on the stack of the caller.
const SHORT_TEXT: usize = 1_024;

/// What a text may take of a stack while it is parsed, per byte: the deepest tree has a level in every second.
const STACK_PER_BYTE: usize = 256;

const LEAST_STACK: usize = 8 << 20;

/// The statements of a text. None of them is too deep for what comes after.
pub(super) fn parse(sql: &str) -> Result<Vec<Statement>, DialectError> {
    shallow_brackets(sql)?;
    if sql.len() <= SHORT_TEXT {
        return parse_here(sql);
    }
    // The parser builds chains without calling itself, but where it refuses a text, what it has of them ends level by level.
    let stack_bytes = LEAST_STACK + sql.len() * STACK_PER_BYTE;
    let too_long = || refused("the statement is too long to be read", "split it, or load its literals as a table");
    thread::scope(|scope| {
        let reader = thread::Builder::new().stack_size(stack_bytes).spawn_scoped(scope, || parse_here(sql));
        reader.map_err(|_| too_long())?.join().map_err(|_| too_long())?
    })
}

fn parse_here(sql: &str) -> Result<Vec<Statement>, DialectError> {
    let mut parser = DFParserBuilder::new(sql)
        .with_dialect(&GenericDialect {})
        .with_recursion_limit(RECURSION_LIMIT)
        .build()
        .map_err(DialectError::from_parser)?;
    let mut statements: Vec<_> = parser.parse_statements().map_err(DialectError::from_parser)?.into();
    for statement in &mut statements {
        flatten(statement)?;
    }
    Ok(statements)
}

fn flatten(statement: &mut Statement) -> Result<(), DialectError> {
    match statement {
        Statement::Statement(statement) => make_flat(statement.as_mut()),
        Statement::Explain(explain) => flatten(&mut explain.statement),
        Statement::CopyTo(copy) => match &mut copy.source {
            CopyToSource::Query(query) => make_flat(query.as_mut()),
            CopyToSource::Relation(_) => Ok(()),
        },
        Statement::CreateExternalTable(_) | Statement::Reset(_) => Ok(()),
    }
}

/// Makes the chains in a statement or a part of one flat; an error if it is too deep all the same.
pub(super) fn make_flat<T: Visit + VisitMut>(node: &mut T) -> Result<(), DialectError> {
    if let ControlFlow::Break(error) = VisitMut::visit(node, &mut Flattener) {
        return Err(error);
    }
    let mut levels = Levels::default();
    // It never breaks.
    let _ = Visit::visit(node, &mut levels);
    if levels.deepest > MOST_LEVELS { Err(too_deep(levels.deepest)) } else { Ok(()) }
}

fn too_deep(levels: usize) -> DialectError {
    refused(
        format!("the statement nests {levels} levels deep, {MOST_LEVELS} are the most"),
        "put the parts of long sums and texts into parentheses, or into common tables (WITH) that build on one another",
    )
}

fn refused(message: impl Into<String>, help: &str) -> DialectError {
    DialectError { line: 0, column: 0, message: message.into(), help: Some(help.to_owned()) }
}

/// Makes chains flat, from the outside in, and takes apart what is too deep, so that nothing deep is left to be dropped.
struct Flattener;

impl VisitorMut for Flattener {
    type Break = DialectError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<DialectError> {
        flatten_unions(&mut query.body);
        let levels = set_operations(&query.body);
        if levels > MOST_LEVELS {
            take_apart_set(mem::replace(query.body.as_mut(), no_rows()));
            return ControlFlow::Break(too_deep(levels));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<DialectError> {
        if let Some(op) = logical(expr) {
            let terms = terms(mem::replace(expr, nothing()), &op);
            let count = terms.len();
            let join = |left, right| Expr::BinaryOp { left: Box::new(left), op: op.clone(), right: Box::new(right) };
            if let Some(whole) = joined(terms, join) {
                *expr = whole;
            }
            if op == BinaryOperator::And && count > MOST_CONDITIONS {
                return ControlFlow::Break(refused(
                    format!("{count} conditions are joined by AND, {MOST_CONDITIONS} are the most"),
                    "use `NOT IN (…)`, or join a table that holds what is asked for",
                ));
            }
        }
        let levels = operands(expr);
        if levels > MOST_LEVELS {
            take_apart(mem::replace(expr, nothing()));
            return ControlFlow::Break(too_deep(levels));
        }
        ControlFlow::Continue(())
    }
}

fn logical(expr: &Expr) -> Option<BinaryOperator> {
    match expr {
        Expr::BinaryOp { op: op @ (BinaryOperator::And | BinaryOperator::Or), .. } => Some(op.clone()),
        _ => None,
    }
}

fn nothing() -> Expr {
    Expr::Value(Value::Null.into())
}

/// The terms of a chain, in their order.
fn terms(chain: Expr, chained: &BinaryOperator) -> Vec<Expr> {
    let (mut terms, mut rest) = (Vec::new(), vec![chain]);
    while let Some(next) = rest.pop() {
        match next {
            Expr::BinaryOp { left, op, right } if op == *chained => {
                rest.push(*right);
                rest.push(*left);
            }
            term => terms.push(term),
        }
    }
    terms
}

/// One node of all parts in their order: one after the other where they are few, as a tree without deep branches otherwise.
fn joined<T>(mut parts: Vec<T>, join: impl Fn(T, T) -> T) -> Option<T> {
    if parts.len() <= SHORT {
        return parts.into_iter().reduce(join);
    }
    while parts.len() > 1 {
        let mut pairs = Vec::with_capacity(parts.len().div_ceil(2));
        let mut rest = parts.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => join(left, right),
                None => left,
            });
        }
        parts = pairs;
    }
    parts.pop()
}

/// The operand on the left of an operator, which may have another one on its left, and so on: the only way in which the parser nests
/// without counting.
fn operand(expr: &mut Expr) -> Option<&mut Expr> {
    match expr {
        Expr::BinaryOp { left: operand, .. }
        | Expr::AnyOp { left: operand, .. }
        | Expr::AllOp { left: operand, .. }
        | Expr::Cast { expr: operand, .. }
        | Expr::AtTimeZone { timestamp: operand, .. }
        | Expr::Collate { expr: operand, .. }
        | Expr::Between { expr: operand, .. }
        | Expr::InList { expr: operand, .. }
        | Expr::InSubquery { expr: operand, .. }
        | Expr::InUnnest { expr: operand, .. }
        | Expr::Like { expr: operand, .. }
        | Expr::ILike { expr: operand, .. }
        | Expr::RLike { expr: operand, .. }
        | Expr::SimilarTo { expr: operand, .. }
        | Expr::JsonAccess { value: operand, .. }
        | Expr::CompoundFieldAccess { root: operand, .. }
        | Expr::IsDistinctFrom(operand, _)
        | Expr::IsNotDistinctFrom(operand, _)
        | Expr::IsNull(operand)
        | Expr::IsNotNull(operand)
        | Expr::IsTrue(operand)
        | Expr::IsNotTrue(operand)
        | Expr::IsFalse(operand)
        | Expr::IsNotFalse(operand)
        | Expr::IsUnknown(operand)
        | Expr::IsNotUnknown(operand)
        | Expr::Nested(operand) => Some(operand.as_mut()),
        _ => None,
    }
}

fn operands(expr: &mut Expr) -> usize {
    let (mut count, mut at) = (0, expr);
    while let Some(next) = operand(at) {
        count += 1;
        at = next;
    }
    count
}

fn take_apart(mut expr: Expr) {
    while let Some(operand) = operand(&mut expr) {
        let next = mem::replace(operand, nothing());
        expr = next;
    }
}

/// `a UNION ALL b UNION ALL c …` with as few levels as there can be.
fn flatten_unions(body: &mut SetExpr) {
    let mut parts = Vec::new();
    let mut rest = mem::replace(body, no_rows());
    loop {
        match rest {
            SetExpr::SetOperation { left, op: SetOperator::Union, set_quantifier: SetQuantifier::All, right } => {
                parts.push(*right);
                rest = *left;
            }
            first => {
                parts.push(first);
                break;
            }
        }
    }
    parts.reverse();
    let join = |left, right| SetExpr::SetOperation {
        left: Box::new(left),
        op: SetOperator::Union,
        set_quantifier: SetQuantifier::All,
        right: Box::new(right),
    };
    if let Some(whole) = joined(parts, join) {
        *body = whole;
    }
}

fn no_rows() -> SetExpr {
    SetExpr::Values(Values { explicit_row: false, value_keyword: false, rows: Vec::new() })
}

/// Levels of set operations within each other.
fn set_operations(body: &SetExpr) -> usize {
    let (mut deepest, mut rest) = (0, vec![(body, 0)]);
    while let Some((body, levels)) = rest.pop() {
        deepest = deepest.max(levels);
        if let SetExpr::SetOperation { left, right, .. } = body {
            rest.push((left.as_ref(), levels + 1));
            rest.push((right.as_ref(), levels + 1));
        }
    }
    deepest
}

fn take_apart_set(body: SetExpr) {
    let mut rest = vec![body];
    while let Some(next) = rest.pop() {
        if let SetExpr::SetOperation { left, right, .. } = next {
            rest.push(*left);
            rest.push(*right);
        }
    }
}

/// Counts levels.
#[derive(Default)]
struct Levels {
    now: usize,
    deepest: usize,
}

impl Levels {
    fn enter(&mut self, levels: usize) -> ControlFlow<()> {
        self.now += levels;
        self.deepest = self.deepest.max(self.now);
        ControlFlow::Continue(())
    }

    fn leave(&mut self, levels: usize) -> ControlFlow<()> {
        self.now = self.now.saturating_sub(levels);
        ControlFlow::Continue(())
    }
}

impl Visitor for Levels {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.enter(set_operations(&query.body))
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.leave(set_operations(&query.body))
    }

    fn pre_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.enter(1)
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.leave(1)
    }
}

/// Refuses brackets that the parser would follow further than its stack goes. Those of types it follows without counting.
fn shallow_brackets(sql: &str) -> Result<(), DialectError> {
    let explains = sql.split_whitespace().take(64).filter(|word| word.eq_ignore_ascii_case("explain")).count();
    if explains > MOST_EXPLAINS {
        return Err(refused("EXPLAIN of EXPLAIN is not supported", "leave one of them out"));
    }
    let (mut open, mut types, mut deepest) = (0_usize, 0_usize, 0_usize);
    let (bytes, mut at) = (sql.as_bytes(), 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\'' | b'"' | b'`' => at = end_of(bytes, at + 1, &[*byte]),
            b'-' if bytes.get(at + 1) == Some(&b'-') => at = end_of(bytes, at, b"\n"),
            b'/' if bytes.get(at + 1) == Some(&b'*') => at = end_of(bytes, at + 2, b"*/"),
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            b'<' if opens_type(&bytes[..at]) => types += 1,
            b'>' => types = types.saturating_sub(1),
            b';' => (open, types) = (0, 0),
            _ => {}
        }
        deepest = deepest.max(open + types);
        at += 1;
    }
    if deepest > MOST_BRACKETS {
        return Err(refused(
            format!("brackets are nested {deepest} deep, {MOST_BRACKETS} are the most"),
            "split the expression, for example into common tables (WITH) that build on one another",
        ));
    }
    Ok(())
}

/// Where `end` comes next, or the end of all.
fn end_of(bytes: &[u8], start: usize, end: &[u8]) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    rest.windows(end.len()).position(|window| window == end).map_or(bytes.len(), |at| start + at)
}

/// Whether `<` behind this begins the arguments of a type.
fn opens_type(before: &[u8]) -> bool {
    ["array", "map", "struct"].iter().any(|word| {
        let start = before.len().checked_sub(word.len());
        start.is_some_and(|start| before[start..].eq_ignore_ascii_case(word.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(sql: &str) -> String {
        parse(sql).map_or_else(|error| error.message, |_| "read".to_owned())
    }

    fn repeated(term: &str, by: &str, count: usize) -> String {
        vec![term; count].join(by)
    }

    #[test]
    fn c08_chains_are_read_or_refused_whatever_their_length() {
        for count in [100, 490] {
            assert_eq!(message(&format!("select {}", repeated("x", " + ", count))), "read");
        }
        for count in [600, 8_000, 100_000] {
            for operator in [" + ", " || ", "::int::int::"] {
                let text = message(&format!("select {}", repeated("x", operator, count)));
                assert!(text.contains("levels deep") || text.starts_with("Expected"), "{text}");
            }
        }
        assert_eq!(message(&format!("select 1 where {}", repeated("x = 1", " or ", 20_000))), "read");
        assert_eq!(message(&format!("select 1 where {}", repeated("x = 1", " and ", 900))), "read");
        assert!(message(&format!("select 1 where {}", repeated("x = 1", " and ", 9_000))).contains("joined by AND"));
        assert_eq!(message(&repeated("select 1", " union all ", 20_000)), "read");
        assert!(message(&repeated("select 1", " except ", 20_000)).contains("levels deep"));
        assert_eq!(message(&format!("select x in ({})", repeated("1", ", ", 50_000))), "read");
    }

    #[test]
    fn c08_what_is_refused_halfway_takes_nothing_with_it() {
        let text = message(&format!("select {} + )", repeated("x", " + ", 50_000)));
        assert!(text.starts_with("Expected"), "{text}");
    }

    #[test]
    fn c08_nesting_is_refused() {
        let nested = |open: &str, close: &str, count: usize| format!("{}x{}", open.repeat(count), close.repeat(count));
        for count in [1_000, 100_000] {
            assert!(message(&format!("select {}", nested("(", ")", count))).contains("brackets"));
            assert!(message(&format!("select {}", nested("f(", ")", count))).contains("brackets"));
            assert!(message(&format!("select cast(x as {})", nested("array<", ">", count))).contains("brackets"));
            assert_ne!(message(&format!("select {}x", "not ".repeat(count))), "read");
            assert_ne!(message(&format!("{}select 1", "explain ".repeat(count))), "read");
        }
        // Brackets in texts are none.
        assert_eq!(message(&format!("select '{}'", "(".repeat(1_000))), "read");
    }

    #[test]
    fn c08_a_flat_chain_is_the_same_text() {
        for sql in ["SELECT a AND b OR c AND d AND NOT e", "SELECT 1 UNION ALL SELECT 2 UNION SELECT 3"] {
            assert_eq!(parse(sql).unwrap()[0].to_string(), sql);
        }
        let long = format!("SELECT {}", repeated("a = 1", " OR ", 100));
        assert_eq!(parse(&long).unwrap()[0].to_string(), long);
    }
}
