//! SQL as people write it for PostgreSQL, Snowflake, DuckDB, Redshift, BigQuery or SQL Server, rewritten to what
//! DataFusion plans. What DataFusion would silently ignore (TABLESAMPLE, FOR JSON, WITH TIES) is refused instead.
//!
//! The rewriting is on the syntax tree only: it knows no tables and no types, so the same text always gives the same
//! statement.

mod build;
mod calls;
mod depth;
mod docs;
mod json_path;
mod names;
mod pivot;
mod precedence;
mod rewriter;
mod tuples;
mod types;

use std::ops::ControlFlow;

use datafusion::{
    error::DataFusionError,
    sql::{
        parser::Statement,
        sqlparser::{
            ast::{Spanned, VisitMut},
            dialect::GenericDialect,
            parser::ParserError,
        },
    },
};

pub(crate) use docs::docs;
pub(crate) use names::column;

/// How deep expressions may nest before the parser refuses them; generated SQL nests deeper than people do.
const RECURSION_LIMIT: usize = 200;

/// Why a text is no statement that can be planned, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DialectError {
    /// Line from 1; 0 if the place is not known.
    pub line: usize,
    /// Column in characters from 1; 0 if the place is not known.
    pub column: usize,
    /// What went wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl DialectError {
    /// An error at the place of `node`.
    fn at(node: &impl Spanned, message: impl Into<String>, help: impl Into<String>) -> Self {
        let start = node.span().start;
        Self {
            line: usize::try_from(start.line).unwrap_or(0),
            column: usize::try_from(start.column).unwrap_or(0),
            message: message.into(),
            help: Some(help.into()),
        }
    }

    /// Reads the place that sqlparser writes at the end of its messages.
    fn from_parser(error: DataFusionError) -> Self {
        // DataFusion's own parser puts the place around the error once more.
        let text = match error.find_root() {
            DataFusionError::SQL(error, _) if **error == ParserError::RecursionLimitExceeded => {
                return Self {
                    line: 0,
                    column: 0,
                    message: format!("expressions are nested more than {RECURSION_LIMIT} deep"),
                    help: Some(
                        "split them, for example into common tables (WITH) that build on one another".to_owned(),
                    ),
                };
            }
            DataFusionError::SQL(error, _) => error.to_string(),
            other => other.strip_backtrace(),
        };
        let text = text.trim_start_matches("sql parser error: ");
        let place = text.rsplit_once(" at Line: ").and_then(|(message, place)| {
            let (line, column) = place.split_once(", Column: ")?;
            let digits = column.bytes().take_while(u8::is_ascii_digit).count();
            Some((message, line.parse().ok()?, column[..digits].parse().ok()?))
        });
        match place {
            Some((message, line, column)) => Self { line, column, message: sentence(message), help: None },
            None => Self { line: 0, column: 0, message: sentence(text), help: None },
        }
    }
}

/// `Expected: an expression, found: )` as people say it. A literal is not repeated: it may be a patient's.
fn sentence(text: &str) -> String {
    let Some((expected, found)) = text.strip_prefix("Expected: ").and_then(|rest| rest.split_once(", found: ")) else {
        return text.to_owned();
    };
    let found = match found.chars().next() {
        _ if found == "EOF" => "the end of the text".to_owned(),
        Some('\'') => "a text in quotes".to_owned(),
        Some(first) if first.is_ascii_digit() => "a number".to_owned(),
        _ => format!("`{found}`"),
    };
    format!("Expected {expected}, found {found}")
}

/// Parses `sql` and rewrites every statement in it to what DataFusion plans.
///
/// # Errors
/// A text that does not parse, and spellings that cannot be planned with their meaning kept.
pub fn rewrite(sql: &str) -> Result<Vec<Statement>, DialectError> {
    let mut statements = depth::parse(sql)?;
    for statement in &mut statements {
        rewrite_statement(statement)?;
    }
    Ok(statements)
}

fn rewrite_statement(statement: &mut Statement) -> Result<(), DialectError> {
    let flow = match statement {
        Statement::Statement(statement) => statement.visit(&mut rewriter::Rewriter),
        Statement::Explain(explain) => return rewrite_statement(&mut explain.statement),
        Statement::CopyTo(copy) => match &mut copy.source {
            datafusion::sql::parser::CopyToSource::Query(query) => query.visit(&mut rewriter::Rewriter),
            datafusion::sql::parser::CopyToSource::Relation(_) => ControlFlow::Continue(()),
        },
        Statement::CreateExternalTable(_) | Statement::Reset(_) => ControlFlow::Continue(()),
    };
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Parses text that a rewriting built; it is a query by construction, so an error names the text it was built from.
fn parse_query(sql: &str) -> Result<datafusion::sql::sqlparser::ast::Query, DialectError> {
    let parse = || {
        datafusion::sql::sqlparser::parser::Parser::new(&GenericDialect {})
            .with_recursion_limit(RECURSION_LIMIT)
            .try_with_sql(sql)?
            .parse_query()
    };
    let mut query = *parse().map_err(|error| DialectError::from_parser(error.into()))?;
    depth::make_flat(&mut query)?;
    Ok(query)
}

/// The type that a text names, if it names one.
fn parse_type(text: &str) -> Option<datafusion::sql::sqlparser::ast::DataType> {
    datafusion::sql::sqlparser::parser::Parser::new(&GenericDialect {}).try_with_sql(text).ok()?.parse_data_type().ok()
}
