//! Building and cleaning text: `format`, `trim_to_null`.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, StringArray},
    datatypes::DataType,
};
use datafusion::common::Result;

use super::super::{
    FunctionDoc,
    scalar::{Call, ScalarFunction, is_text},
};
use crate::words::say;

pub(super) fn all() -> Vec<ScalarFunction> {
    vec![
        ScalarFunction::new(
            FunctionDoc {
                name: "format",
                signature: "format(pattern, a, b, …)",
                description: "The pattern with its placeholders filled: %s text, %I a quoted identifier, %L a quoted \
                              literal (PostgreSQL), %d a whole number, %f a number with %.2f for two decimals, %%. \
                              Widths (%5s, %-5s, %05d) and positions (%2$s) are understood. NULL is '' (%L: NULL).",
                example: "format('%s is %05d', 'MRN', 42) → MRN is 00042",
            },
            1..=64,
            |_| Ok(DataType::Utf8),
            format,
        )
        .aliases(&["format_string", "printf"]),
        ScalarFunction::new(
            FunctionDoc {
                name: "trim_to_null",
                signature: "trim_to_null(x)",
                description: "Text without the white space around it, NULL if nothing is left. Other types are returned \
                              as they are. try_cast applies it to its argument.",
                example: "trim_to_null('  ') → NULL",
            },
            1..=1,
            |types| Ok(if is_text(types.get(0)) { DataType::Utf8 } else { types.get(0).clone() }),
            |call| {
                if !is_text(&call.data_type(0)) {
                    return Ok(call.array(0)?.0);
                }
                let texts = call.texts(0)?;
                call.make_text(|row| texts.get(row).map(str::trim).filter(|text| !text.is_empty()))
            },
        ),
    ]
}

/// One piece of a pattern.
enum Piece {
    Literal(String),
    Value { argument: usize, kind: char, width: usize, left: bool, zeros: bool, precision: Option<usize> },
}

/// Splits a pattern; None if a placeholder is not understood.
fn compile(pattern: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut next = 0;
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        pieces.push(Piece::Literal(rest[..at].to_owned()));
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            pieces.push(Piece::Literal("%".to_owned()));
            rest = after;
            continue;
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let mut argument = None;
        if digits > 0 && rest[digits..].starts_with('$') {
            argument = Some(rest[..digits].parse::<usize>().ok()?.checked_sub(1)?);
            rest = &rest[digits + 1..];
        }
        let flags = rest.bytes().take_while(|byte| matches!(byte, b'-' | b'0')).count();
        let (flags, after) = rest.split_at(flags);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        // A width is bounded so that a pattern cannot ask for gigabytes.
        let width = after[..digits].parse().unwrap_or(0).min(10_000);
        rest = &after[digits..];
        let mut precision = None;
        if let Some(after) = rest.strip_prefix('.') {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            precision = Some(after[..digits].parse().unwrap_or(0).min(100));
            rest = &after[digits..];
        }
        let kind = rest.chars().next().filter(|kind| matches!(kind, 's' | 'I' | 'L' | 'd' | 'f'))?;
        rest = &rest[1..];
        let argument = argument.unwrap_or(next);
        next = argument + 1;
        pieces.push(Piece::Value {
            argument,
            kind,
            width,
            left: flags.contains('-'),
            zeros: flags.contains('0') && kind != 's',
            precision,
        });
    }
    pieces.push(Piece::Literal(rest.to_owned()));
    Some(pieces)
}

fn format(call: &Call<'_>) -> Result<ArrayRef> {
    let patterns = call.texts(0)?;
    let columns = (1..call.args.len()).map(|i| call.texts(i)).collect::<Result<Vec<_>>>()?;
    let constant = patterns.constant().map(compile);
    let mut values = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let Some(pattern) = patterns.get(row) else {
            values.push(None);
            continue;
        };
        let compiled;
        let pieces = match &constant {
            Some(pieces) => pieces,
            None => {
                compiled = compile(pattern);
                &compiled
            }
        };
        let filled = pieces.as_ref().and_then(|pieces| fill(pieces, |argument| Some(columns.get(argument)?.get(row))));
        if filled.is_none() {
            return say!("format: the pattern asks for an argument that is missing or of another type");
        }
        values.push(filled);
    }
    Ok(Arc::new(StringArray::from(values)))
}

/// The text; None if a placeholder has no argument or one of the wrong kind.
fn fill<'a>(pieces: &[Piece], argument_at: impl Fn(usize) -> Option<Option<&'a str>>) -> Option<String> {
    let mut out = String::new();
    for piece in pieces {
        let Piece::Value { argument, kind, width, left, zeros, precision } = piece else {
            if let Piece::Literal(text) = piece {
                out.push_str(text);
            }
            continue;
        };
        let value = argument_at(*argument)?;
        let text = match (kind, value) {
            ('L', None) => "NULL".to_owned(),
            (_, None) => String::new(),
            ('L', Some(value)) => format!("'{}'", value.replace('\'', "''")),
            ('I', Some(value)) => format!("\"{}\"", value.replace('"', "\"\"")),
            ('d', Some(value)) => value.trim().parse::<i128>().ok()?.to_string(),
            ('f', Some(value)) => format!("{:.*}", precision.unwrap_or(6), value.trim().parse::<f64>().ok()?),
            (_, Some(value)) => match precision {
                Some(precision) => value.chars().take(*precision).collect(),
                None => value.to_owned(),
            },
        };
        let missing = width.saturating_sub(text.chars().count());
        if *left {
            out.push_str(&text);
            out.extend(std::iter::repeat_n(' ', missing));
        } else if *zeros {
            let (sign, digits) = text.split_at(usize::from(text.starts_with('-')));
            out.push_str(sign);
            out.extend(std::iter::repeat_n('0', missing));
            out.push_str(digits);
        } else {
            out.extend(std::iter::repeat_n(' ', missing));
            out.push_str(&text);
        }
    }
    Some(out)
}
