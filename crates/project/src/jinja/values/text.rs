//! `str()` and `repr()` as Python writes them.

use minijinja::{Value, value::ValueKind};

use super::{MAX_DEPTH, MAX_TEXT_BYTES, items, pairs};
use crate::jinja::functions::relation::RelationValue;

/// What `{{ value }}` prints.
pub(crate) fn python_str(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => python_repr(value),
    }
}

/// What the value looks like inside a list.
pub(crate) fn python_repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(&mut out, value, MAX_DEPTH);
    out
}

fn write_repr(out: &mut String, value: &Value, depth: usize) {
    // A list that holds itself twice doubles with each level. Whoever uses the text sees that it is too large.
    if depth == 0 || out.len() > MAX_TEXT_BYTES {
        out.push_str("...");
        return;
    }
    if value.downcast_object_ref::<RelationValue>().is_some() {
        out.push_str(&value.to_string());
        return;
    }
    match value.kind() {
        ValueKind::Undefined => {}
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number if value.is_integer() => out.push_str(&value.to_string()),
        ValueKind::Number => out.push_str(&f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float_repr)),
        ValueKind::String => write_quoted(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = items(value);
            let is_tuple = value.is_tuple();
            out.push(if is_tuple { '(' } else { '[' });
            for (index, item) in items.iter().enumerate() {
                if out.len() > MAX_TEXT_BYTES {
                    break;
                }
                out.push_str(if index > 0 { ", " } else { "" });
                write_repr(out, item, depth - 1);
            }
            out.push_str(match (is_tuple, items.len()) {
                (true, 1) => ",)",
                (true, _) => ")",
                (false, _) => "]",
            });
        }
        ValueKind::Map => {
            out.push('{');
            for (index, (key, item)) in pairs(value).iter().enumerate() {
                if out.len() > MAX_TEXT_BYTES {
                    break;
                }
                out.push_str(if index > 0 { ", " } else { "" });
                write_repr(out, key, depth - 1);
                out.push_str(": ");
                write_repr(out, item, depth - 1);
            }
            out.push('}');
        }
        _ => out.push_str(&value.to_string()),
    }
}

fn write_quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push(quote);
}

fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let text = format!("{value:?}");
    // Python writes the exponent with a sign and two digits.
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
            format!("{}e{sign}{digits:0>2}", mantissa.strip_suffix(".0").unwrap_or(mantissa))
        }
        None => text,
    }
}
