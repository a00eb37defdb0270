//! What engines say, in words of our own.
//!
//! The libraries below us put the value that they stumbled over into their messages, and a value may be a patient's. Which of their
//! words are safe cannot be told from the outside, so none of them is passed on but those listed here: for the rest it is said what
//! could not be done, with which function or to which type, and what to do about it.

use std::{
    collections::HashSet,
    error::Error,
    iter,
    sync::{Arc, LazyLock},
};

use arrow::{datatypes::DataType, error::ArrowError};
use datafusion::{error::DataFusionError, parquet::errors::ParquetError};
use wardlake_storage::StorageError;

use crate::EngineError;

/// What a function of this crate says. It names functions, arguments, columns and types, never a value, and is passed on as it is.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Said(pub(crate) String);

/// The error of a function of this crate, with a text without values.
macro_rules! say {
    ($($text:tt)*) => {
        Err(datafusion::error::DataFusionError::External(Box::new($crate::words::Said(format!($($text)*)))))
    };
}

pub(crate) use say;

/// Beginnings of messages that hold no value.
const SAFE: [&str; 9] = [
    "Scalar subquery returned more than one row",
    "There must be at least one WHEN clause",
    "DATE_BIN stride must be non-zero",
    "cannot take square root of a negative number",
    "factorial of a negative number is undefined",
    "field position must not be zero",
    "map key cannot be null",
    "map requires key and value lists to have the same length",
    "Granularity of `date_trunc` must be non-null scalar Utf8",
];

/// Parts of messages about a value that is not what it should become.
const MISREAD: [&str; 20] = [
    "Can't cast value",
    "Cannot cast",
    "Cannot convert",
    "Cannot parse",
    "Error parsing",
    "Fail to convert",
    "Failed to convert",
    "Failed to parse",
    "Invalid decimal format",
    "Invalid input syntax",
    "Overflowing on",
    "Timestamp out of range",
    "Unable to parse",
    "can't parse",
    "exceeds the representable",
    "failed to parse",
    "is out of range",
    "parse decimal overflow",
    "too large to store",
    "too small to store",
];

/// Arrow's names of types, as they begin, and SQL's.
const TYPES: [(&str, &str); 21] = [
    ("Int8", "tinyint"),
    ("Int16", "smallint"),
    ("Int32", "integer"),
    ("Int64", "bigint"),
    ("UInt8", "unsigned tinyint"),
    ("UInt16", "unsigned smallint"),
    ("UInt32", "unsigned integer"),
    ("UInt64", "unsigned bigint"),
    ("Float32", "real"),
    ("Float64", "double"),
    ("Decimal", "decimal"),
    ("decimal", "decimal"),
    ("Boolean", "boolean"),
    ("Date", "date"),
    ("Timestamp", "timestamp"),
    ("timestamp", "timestamp"),
    ("Time", "time"),
    ("time", "time"),
    ("Interval", "interval"),
    ("interval", "interval"),
    ("Utf8", "text"),
];

/// Names of DataFusion's functions, which its messages usually hold.
static FUNCTIONS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    datafusion::functions::all_default_functions().iter().map(|function| function.name().to_owned()).collect()
});

/// Why it is not said which value it was.
const WITHHELD: &str = "which one is not shown, as it may be a patient's";

/// SQL's name of a type.
pub(crate) fn sql_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Decimal128(precision, scale) => format!("decimal({precision}, {scale})"),
        other => {
            let arrows = other.to_string();
            match TYPES.iter().find(|(begins, _)| arrows.starts_with(begins)) {
                Some((_, name)) => (*name).to_owned(),
                None => arrows,
            }
        }
    }
}

/// Whether the text of an error may quote a value.
pub(crate) fn may_quote_values(root: &DataFusionError) -> bool {
    match root {
        DataFusionError::ArrowError(..)
        | DataFusionError::ParquetError(_)
        | DataFusionError::Execution(_)
        | DataFusionError::Internal(_)
        | DataFusionError::ExecutionJoin(_) => true,
        DataFusionError::External(_) => chain(root).any(|error| error.is::<ArrowError>()),
        _ => false,
    }
}

/// What the lake says; of rows that could not be computed also why, without values.
pub fn with_cause(error: &StorageError) -> String {
    match error {
        StorageError::Query { source, .. } => {
            let source: &DataFusionError = source;
            format!("{error}: {}", without_values(source))
        }
        other => other.to_string(),
    }
}

/// What went wrong, without values.
pub(crate) fn without_values(error: &(dyn Error + 'static)) -> String {
    let mut of_lake = chain(error).filter_map(|error| error.downcast_ref::<StorageError>());
    if let Some(failed) = of_lake.find(|error| matches!(error, StorageError::Query { .. })) {
        return with_cause(failed);
    }
    if let Some(said) = chain(error).find_map(|error| error.downcast_ref::<Said>()) {
        return said.to_string();
    }
    if let Some(own) = chain(error).find_map(|error| error.downcast_ref::<EngineError>()) {
        return own.to_string();
    }
    if let Some(own) = chain(error).find_map(|error| error.downcast_ref::<StorageError>()) {
        return own.to_string();
    }
    if let Some(error) = chain(error).filter_map(|error| error.downcast_ref::<ArrowError>()).last() {
        return of_arrow(error);
    }
    match chain(error).filter_map(of_engine).last() {
        Some(DataFusionError::Execution(text)) => of_function(text),
        Some(DataFusionError::Internal(text)) => format!("the query engine failed inside: {}", masked(text)),
        Some(DataFusionError::ParquetError(error)) => of_file(error),
        Some(DataFusionError::ExecutionJoin(_)) => "a task of the query ended before its rows were there".to_owned(),
        Some(DataFusionError::Plan(text) | DataFusionError::Configuration(text)) => first_line(text).to_owned(),
        Some(DataFusionError::NotImplemented(text)) => format!("not supported: {}", first_line(text)),
        Some(other) => first_line(&other.to_string()).to_owned(),
        None => first_line(&error.to_string()).to_owned(),
    }
}

fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| (**error).source())
}

/// The query engine's error; in a chain it may stand within the pointer that shares or holds it.
fn of_engine<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e DataFusionError> {
    error
        .downcast_ref::<DataFusionError>()
        .or_else(|| error.downcast_ref::<Arc<DataFusionError>>().map(|shared| &**shared))
        .or_else(|| error.downcast_ref::<Box<DataFusionError>>().map(|held| &**held))
}

fn of_arrow(error: &ArrowError) -> String {
    match error {
        ArrowError::DivideByZero => "division by zero; `nullif(divisor, 0)` gives NULL instead".to_owned(),
        ArrowError::ArithmeticOverflow(_) => overflow(),
        ArrowError::NotYetImplemented(text) => format!("not supported: {}", first_line(text)),
        ArrowError::SchemaError(text) => masked(text),
        ArrowError::InvalidArgumentError(text) if text.starts_with("column types must match schema types") => {
            masked(text)
        }
        ArrowError::JsonError(_) => format!("a text could not be read as JSON ({WITHHELD})"),
        ArrowError::CsvError(_) | ArrowError::AvroError(_) => format!("a text could not be read ({WITHHELD})"),
        ArrowError::CastError(text)
        | ArrowError::ParseError(text)
        | ArrowError::ComputeError(text)
        | ArrowError::InvalidArgumentError(text) => of_value(text).unwrap_or_else(unknown),
        ArrowError::ExternalError(_) => unknown(),
        // About files and memory.
        other => masked(&other.to_string()),
    }
}

/// What one of DataFusion's functions or operators refused.
fn of_function(text: &str) -> String {
    if let Some(safe) = SAFE.iter().find(|safe| text.starts_with(**safe)) {
        return (*safe).to_owned();
    }
    of_value(text).unwrap_or_else(|| match function_in(text) {
        Some(name) => format!("`{name}` cannot be worked out for a value ({WITHHELD}); leave such rows out before it"),
        None => unknown(),
    })
}

fn of_value(text: &str) -> Option<String> {
    if text.starts_with("Invalid timezone") {
        return Some(no_time_zone());
    }
    if MISREAD.iter().any(|part| text.contains(part)) {
        let target = type_in(text).map(|name| format!(" as {name}")).unwrap_or_default();
        return Some(format!("a value could not be read{target} ({WITHHELD}); try_cast gives NULL for such values"));
    }
    let text = text.to_ascii_lowercase();
    if text.contains("timezone") || text.contains("time zone") {
        Some(no_time_zone())
    } else if text.contains("overflow") {
        Some(overflow())
    } else if text.contains("divide by zero") || text.contains("division by zero") {
        Some(of_arrow(&ArrowError::DivideByZero))
    } else if text.contains("regular expression") || text.contains("regex") {
        Some(format!("a pattern is no regular expression ({WITHHELD})"))
    } else {
        None
    }
}

fn no_time_zone() -> String {
    format!("a text is no time zone ({WITHHELD}); use names such as 'America/New_York'")
}

fn overflow() -> String {
    "a number left the range of its type; cast it to decimal(38, 0) or double before calculating with it".to_owned()
}

fn unknown() -> String {
    format!("a value could not be worked with ({WITHHELD})")
}

/// The type that a value was to become. Only names out of our own list come out, whatever the value looks like.
fn type_in(text: &str) -> Option<&'static str> {
    let named = |word: &str| TYPES.iter().find(|(begins, _)| word.starts_with(begins)).map(|(_, name)| *name);
    // Behind the value stands "to type X", "to value of X type", "to X"; before it "Error parsing timestamp from".
    let (before, behind) = text.rsplit_once(" to ").unwrap_or((text, ""));
    let behind = behind.trim_start_matches("value of ").trim_start_matches("type ");
    let in_a_few = |text: &str| text.split_whitespace().take(3).find_map(named);
    named(behind.trim_start()).or_else(|| in_a_few(before)).or_else(|| {
        ["Decimal128", "Decimal256", "as interval", "as time", "decimal"]
            .iter()
            .find(|part| text.contains(**part))
            .and_then(|part| named(part.trim_start_matches("as ")))
    })
}

fn function_in(text: &str) -> Option<&'static str> {
    text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
        .find_map(|word| FUNCTIONS.get(word.to_ascii_lowercase().as_str()))
        .map(String::as_str)
}

fn of_file(error: &ParquetError) -> String {
    let text = match error {
        ParquetError::ArrowError(text) => return of_value(text).unwrap_or_else(unknown),
        // The store's own words: which file, and what was wrong with it.
        ParquetError::External(error) if error.is::<datafusion::object_store::Error>() => error.to_string(),
        other => masked(&other.to_string()),
    };
    format!("a data file cannot be read: {text}")
}

/// The words of a text: what is in quotes, and numbers, are left out.
fn masked(text: &str) -> String {
    let mut out = String::new();
    let mut within = None;
    for letter in first_line(text).chars() {
        match within {
            Some(quote) if letter == quote => {
                within = None;
                out.push(letter);
            }
            Some(_) => {}
            None if matches!(letter, '\'' | '"' | '`') => {
                within = Some(letter);
                out.extend([letter, '…']);
            }
            None if letter.is_ascii_digit() => {
                if !out.ends_with('…') {
                    out.push('…');
                }
            }
            None => out.push(letter),
        }
    }
    out
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(error: impl Into<DataFusionError>) -> String {
        without_values(&error.into())
    }

    #[test]
    fn c06_no_value_comes_through_and_the_reason_stays() {
        use ArrowError::{ArithmeticOverflow, CastError, ComputeError, InvalidArgumentError, ParseError};
        let text = str::to_owned;
        for (error, reason) in [
            (CastError(text("Cannot cast string 'Smith 1990' to value of Int32 type")), "read as integer"),
            (CastError(text("Can't cast value 1990 to type Int16")), "read as smallint"),
            (ParseError(text("Error parsing timestamp from 'Smith 1990': error parsing date")), "read as timestamp"),
            (ParseError(text("Failed to parse 'Smith 1990' as time")), "read as time"),
            (ParseError(text("Invalid timezone \"Smith\": failed to parse timezone")), "no time zone"),
            (ComputeError(text("Regular expression did not compile: Smith(")), "no regular expression"),
            (
                InvalidArgumentError(text("1990 is too large to store in a Decimal128 of precision 3. Max is 999")),
                "as decimal",
            ),
            (InvalidArgumentError(text("can't parse the string value Smith to decimal")), "as decimal"),
            (InvalidArgumentError(text("Smith")), "not shown"),
            (ArithmeticOverflow(text("Overflow happened on: 1990 * 1990")), "range of its type"),
        ] {
            let text = said(error);
            assert!(text.contains(reason), "{text}: {reason}");
            assert!(!text.contains("Smith") && !text.contains("1990"), "{text}");
        }
    }

    #[test]
    fn c06_functions_are_named_and_their_values_are_not() {
        for (text, reason) in [
            ("Unable to parse date from 1990, 13, 7", "could not be read"),
            ("split_part index 1990 exceeds minimum supported value", "`split_part`"),
            ("Overflow happened on FACTORIAL(1990)", "range of its type"),
            ("array_position expected Int64 for start_from, got Smith", "not shown"),
            ("Scalar subquery returned more than one row", "more than one row"),
        ] {
            let said = said(DataFusionError::Execution(text.to_owned()));
            assert!(said.contains(reason), "{said}: {reason}");
            assert!(!said.contains("Smith") && !said.contains("1990"), "{said}");
        }
        let inside = said(DataFusionError::Internal("found 'Smith' in 1990 places".to_owned()));
        assert!(inside.contains("places") && !inside.contains("Smith") && !inside.contains("1990"), "{inside}");
    }

    #[test]
    fn e01_a_failed_write_says_why_and_quotes_nothing() {
        let of = |source: DataFusionError| StorageError::Query {
            table: wardlake_core::TableName::new("gold", "beds").unwrap(),
            source: Box::new(source),
        };
        let own: Result<(), DataFusionError> = say!("to_date: `birth` holds a text that is no date");
        for (source, reason) in [
            (ArrowError::DivideByZero.into(), "division by zero; `nullif"),
            (DataFusionError::Execution("Unable to parse date from Smith 1990".to_owned()), "could not be read"),
            (crate::error::sealed(ArrowError::ParseError("Failed to parse 'Smith'".to_owned()).into()), "not shown"),
            (own.unwrap_err().context("while writing"), "to_date: `birth` holds"),
            (DataFusionError::Plan("no column `bedz`".to_owned()), "failed: no column `bedz`"),
        ] {
            let failed = of(source);
            let text = with_cause(&failed);
            assert!(text.starts_with("computing the rows for gold.beds failed: ") && text.contains(reason), "{text}");
            assert!(!text.contains("Smith") && !text.contains("1990"), "{text}");
            // On any way out it says the same.
            let through = DataFusionError::External(Box::new(failed));
            assert_eq!(EngineError::from(through).to_string(), text);
        }
    }

    #[test]
    fn c06_our_own_words_come_through() {
        let own: Result<(), DataFusionError> = say!("to_date: `birth` holds a text that is no date");
        let wrapped = DataFusionError::from(ArrowError::ExternalError(Box::new(own.unwrap_err())));
        assert_eq!(without_values(&wrapped.context("while writing")), "to_date: `birth` holds a text that is no date");
    }
}
