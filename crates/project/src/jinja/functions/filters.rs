//! Filters and tests that differ from the engine's: Python's spelling of values, lists that can be changed afterwards.

use md5::{Digest, Md5};
use minijinja::{
    Environment, Error, State, Value, filters,
    formatting::FormatStyle,
    value::{Kwargs, Rest, ValueKind, ValueOrKwargs, from_args},
};
use serde_json::Value as Json;
use wardlake_core::hex;

use super::serialize;
use crate::jinja::values::{
    PyList, bounded, check_format, check_items, check_replace, check_text, from_json, invalid, items, mutable, pairs,
    python_str, to_json, tuple,
};

/// Adds them to the environment.
pub(crate) fn add_filters(env: &mut Environment<'static>) {
    engine_lists(env);
    env.add_filter("join", join);
    growing(env);
    env.add_filter("string", |value: Value| bounded(python_str(&value)));
    env.add_filter("items", |value: Value| {
        PyList::value(pairs(&value).into_iter().map(|(key, value)| tuple(vec![key, value])).collect())
    });
    env.add_filter("list", list);
    env.add_filter("tojson", |value: Value, args: Rest<ValueOrKwargs>| {
        let _ = args;
        // Jinja's filter also escapes what HTML would read.
        bounded(
            serialize::json_text(&to_json(&value), false)
                .replace('<', "\\u003c")
                .replace('>', "\\u003e")
                .replace('&', "\\u0026")
                .replace('\'', "\\u0027"),
        )
    });
    env.add_filter("as_bool", |value: Value| as_bool(&value));
    env.add_filter("as_number", |value: Value| as_number(&value));
    env.add_filter("as_native", |value: Value| as_native(&value));
    env.add_filter("as_text", |value: Value| if value.is_none() { String::new() } else { python_str(&value) });
    env.add_filter("md5", |value: Value| md5(&python_str(&value)));
    env.add_filter("wordcount", |value: Value| python_str(&value).split_whitespace().count());
    env.add_filter("center", |value: Value, width: Option<usize>| {
        let text = python_str(&value);
        let missing = width.unwrap_or(80).min(10_000).saturating_sub(text.chars().count());
        format!("{}{text}{}", " ".repeat(missing / 2), " ".repeat(missing - missing / 2))
    });
    env.add_filter("truncate", truncate);
    env.add_filter("int", |value: Value, default: Option<Value>, base: Option<u32>, kwargs: Kwargs| {
        int(&value, default, base, &kwargs)
    });
    env.add_filter("float", |value: Value, default: Option<Value>| float(&value, default));
    env.add_test("callable", |value: Value| {
        value.downcast_object_ref::<crate::jinja::macros::BoundMacro>().is_some()
            || value.downcast_object_ref::<crate::jinja::macros::MacroRef>().is_some()
            || value.downcast_object_ref::<super::native::Native>().is_some()
    });
    env.add_test("iterable", |value: Value| {
        matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Iterable | ValueKind::Map)
    });
    env.add_test("sequence", |value: Value| {
        matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Iterable | ValueKind::Map)
    });
}

/// The engine's filters that give a sequence, made to give a list.
fn engine_lists(env: &mut Environment<'static>) {
    macro_rules! lists {
        ($($name:literal => $hidden:literal, $filter:path;)*) => {
            $(
                env.add_filter($hidden, $filter);
                env.add_filter($name, |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
                    let args = args.into_values();
                    if matches!($name, "batch" | "slice") {
                        let count = args.get(1).and_then(crate::jinja::values::integer).unwrap_or_default();
                        check_items(usize::try_from(count).unwrap_or_default())?;
                    }
                    state.apply_filter($hidden, &args).map(mutable)
                });
            )*
        };
    }
    lists! {
        "sort" => "__sort", filters::sort;
        "dictsort" => "__dictsort", filters::dictsort;
        "unique" => "__unique", filters::unique;
        "reverse" => "__reverse", filters::reverse;
        "batch" => "__batch", filters::batch;
        "slice" => "__slice", filters::slice;
        "map" => "__map", filters::map;
        "select" => "__select", filters::select;
        "reject" => "__reject", filters::reject;
        "selectattr" => "__selectattr", filters::selectattr;
        "rejectattr" => "__rejectattr", filters::rejectattr;
        "split" => "__split", filters::split;
        "lines" => "__lines", filters::lines;
        "zip" => "__zip", filters::zip;
        "chain" => "__chain", filters::chain;
    }
}

/// The engine's filters that give a longer text than they are given, within the bounds of texts.
fn growing(env: &mut Environment<'static>) {
    macro_rules! texts {
        ($($name:literal => $hidden:literal, $filter:path, $check:expr;)*) => {
            $(
                env.add_filter($hidden, $filter);
                env.add_filter($name, |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
                    let args = args.into_values();
                    let check: fn(&[Value]) -> Result<(), Error> = $check;
                    check(&args)?;
                    let made = state.apply_filter($hidden, &args)?;
                    check_text(made.as_str().map_or(0, str::len)).map(|()| made)
                });
            )*
        };
    }
    texts! {
        "replace" => "__replace", filters::replace, check_replace;
        "indent" => "__indent", filters::indent, check_indent;
        "format" => "__format", filters::format, |args| match args.split_first() {
            Some((template, rest)) => check_format(FormatStyle::Printf, &python_str(template), rest),
            None => Ok(()),
        };
        "pprint" => "__pprint", filters::pprint, |_| Ok(());
    }
}

fn check_indent(args: &[Value]) -> Result<(), Error> {
    let named = args.last().filter(|last| last.is_kwargs()).and_then(|named| named.get_attr("width").ok());
    let widths = args.get(1).into_iter().chain(&named).filter_map(crate::jinja::values::integer);
    let width = usize::try_from(widths.max().unwrap_or_default()).unwrap_or_default();
    let lines = args.first().and_then(Value::as_str).map_or(0, |text| text.matches('\n').count() + 1);
    check_text(width.saturating_mul(lines))
}

fn list(value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(PyList::value(Vec::new())),
        ValueKind::String => {
            check_items(value.as_str().map_or(0, str::len))?;
            Ok(PyList::value(python_str(&value).chars().map(|c| Value::from(c.to_string())).collect()))
        }
        _ => match value.try_iter() {
            Ok(_) => Ok(PyList::value(items(&value))),
            Err(_) => Err(invalid(format!("{} cannot be made a list", value.kind()))),
        },
    }
}

fn join(value: Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = args.into_values();
    let (by, attribute, kwargs): (Option<Value>, Option<Value>, Kwargs) = from_args(&args)?;
    let by = match by {
        Some(by) => Some(by),
        None => kwargs.get::<Option<Value>>("d")?,
    };
    let attribute = match attribute {
        Some(attribute) => Some(attribute),
        None => kwargs.get::<Option<Value>>("attribute")?,
    };
    let elements = if let Some(text) = value.as_str() {
        check_items(text.len())?;
        text.chars().map(|c| Value::from(c.to_string())).collect()
    } else {
        items(&value)
    };
    let parts = elements.iter().map(|item| -> Result<String, Error> {
        match &attribute {
            Some(attribute) => Ok(python_str(&item.get_item(attribute)?)),
            None => Ok(python_str(item)),
        }
    });
    crate::jinja::values::join(parts, &by.map(|by| python_str(&by)).unwrap_or_default())
}

fn truncate(value: Value, length: Option<usize>, kill_words: Option<bool>, end: Option<String>) -> String {
    let text = python_str(&value);
    let (length, end) = (length.unwrap_or(255), end.unwrap_or_else(|| "...".to_owned()));
    if text.chars().count() <= length {
        return text;
    }
    let cut: String = text.chars().take(length.saturating_sub(end.chars().count())).collect();
    let kept = if kill_words == Some(true) {
        cut.as_str()
    } else {
        cut.rsplit_once(' ').map_or(cut.as_str(), |(kept, _)| kept)
    };
    format!("{kept}{end}")
}

/// Jinja gives the default, 0, for what is no number; the engine would fail.
fn int(value: &Value, default: Option<Value>, base: Option<u32>, kwargs: &Kwargs) -> Result<Value, Error> {
    let default = match default {
        Some(default) => default,
        None => kwargs.get::<Option<Value>>("default")?.unwrap_or(Value::from(0)),
    };
    let base = match base {
        Some(base) => base,
        None => kwargs.get::<Option<u32>>("base")?.unwrap_or(10),
    };
    if let Some(text) = value.as_str() {
        let text = text.trim().replace('_', "");
        let parsed = (2..=36).contains(&base).then(|| i64::from_str_radix(&text, base).ok()).flatten();
        return Ok(parsed
            .or_else(|| text.parse::<f64>().ok().filter(|f| f.is_finite()).map(|f| f as i64))
            .map_or(default, Value::from));
    }
    match crate::jinja::values::integer(value) {
        Some(integer) => Ok(i64::try_from(integer).map_or(Value::from(integer), Value::from)),
        None => Ok(crate::jinja::values::float(value)
            .filter(|f| f.is_finite())
            .map_or(default, |float| Value::from(float as i64))),
    }
}

fn float(value: &Value, default: Option<Value>) -> Value {
    let parsed = match value.as_str() {
        Some(text) => text.trim().parse::<f64>().ok(),
        None => crate::jinja::values::float(value),
    };
    parsed.map_or_else(|| default.unwrap_or(Value::from(0.0)), Value::from)
}

/// `as_bool`: texts that spell a boolean become one, everything else stays.
fn as_bool(value: &Value) -> Value {
    match value.as_str().map(str::to_ascii_lowercase).as_deref() {
        Some("true") => Value::from(true),
        Some("false") => Value::from(false),
        _ => value.clone(),
    }
}

fn as_number(value: &Value) -> Value {
    let Some(text) = value.as_str().map(str::trim) else { return value.clone() };
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(integer), _) => Value::from(integer),
        (_, Ok(float)) if float.is_finite() => Value::from(float),
        _ => value.clone(),
    }
}

/// `as_native`: the literal a text spells.
pub(crate) fn as_native(value: &Value) -> Value {
    let Some(text) = value.as_str().map(str::trim) else { return value.clone() };
    match text {
        "True" | "true" => return Value::from(true),
        "False" | "false" => return Value::from(false),
        "None" => return Value::from(()),
        _ => {}
    }
    let number = as_number(value);
    if number.as_str().is_none() {
        return number;
    }
    match serialize::parse_yaml(text) {
        Some(json @ (Json::Array(_) | Json::Object(_))) => from_json(&json),
        _ => value.clone(),
    }
}

/// md5 as 32 hex digits.
pub(crate) fn md5(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}
