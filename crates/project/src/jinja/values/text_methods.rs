//! Methods of Python's strings (and of the engine's own immutable lists and maps) that templates call.

use minijinja::{
    Error, ErrorKind, State, Value,
    formatting::{FormatStyle, format},
    value::{Kwargs, ValueKind, from_args},
};

use super::operators::printable;
use super::{
    MAX_WIDTH, PyDict, PyList, check_format, check_replace, check_text, invalid, items, join, mutable, python_str,
    tuple,
};

/// Called for methods an object does not know itself.
pub(crate) fn unknown_method(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    if let Some(text) = value.as_str()
        && let Some(result) = text_method(text, method, args)
    {
        return result;
    }
    if value.is_tuple() && method == "index" {
        let (wanted,): (Value,) = from_args(args)?;
        let position = items(value).iter().position(|item| *item == wanted);
        return position.map(Value::from).ok_or_else(|| invalid("the value is not in the tuple"));
    }
    if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
        && matches!(method, "append" | "extend" | "insert" | "pop" | "remove" | "clear")
    {
        return Err(invalid(format!("this {} cannot be changed; make a list of it with `| list` first", value.kind())));
    }
    if let Some(text) = value.as_str() {
        check_text(text.len())?;
        if method == "replace" {
            check_replace(&[std::slice::from_ref(value), args].concat())?;
        }
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args).map(mutable).map_err(|failure| {
        match (failure.kind(), type_name(value)) {
            (ErrorKind::UnknownMethod, Some(name)) => {
                Error::new(ErrorKind::UnknownMethod, format!("{name} has no method `{method}`"))
            }
            _ => failure,
        }
    })
}

/// What a value is, in words; of undefined values the engine's own error tells more.
fn type_name(value: &Value) -> Option<String> {
    Some(match value.kind() {
        ValueKind::Undefined => return None,
        ValueKind::None => "None".to_owned(),
        ValueKind::Bool => "a boolean".to_owned(),
        ValueKind::Number => "a number".to_owned(),
        ValueKind::String => "a text".to_owned(),
        ValueKind::Plain => value.to_string(),
        _ if value.is_tuple() => "a tuple".to_owned(),
        _ if value.downcast_object_ref::<PyList>().is_some() => "a list".to_owned(),
        _ if value.downcast_object_ref::<PyDict>().is_some() => "a dict".to_owned(),
        _ => value.to_string(),
    })
}

/// The methods minijinja-contrib lacks or answers with an immutable list.
fn text_method(text: &str, method: &str, args: &[Value]) -> Option<Result<Value, Error>> {
    Some(match method {
        "split" | "rsplit" => split(text, method == "rsplit", args),
        "splitlines" => Ok(list(text.lines())),
        "partition" => one_text(args).map(|by| match text.split_once(&by) {
            Some((left, right)) => three(left, &by, right),
            None => three(text, "", ""),
        }),
        "rpartition" => one_text(args).map(|by| match text.rsplit_once(&by) {
            Some((left, right)) => three(left, &by, right),
            None => three("", "", text),
        }),
        "join" => from_args(args)
            .and_then(|(parts,): (Value,)| join(items(&parts).iter().map(|part| Ok(python_str(part))), text)),
        "format" => format_text(text, args),
        "removeprefix" => one_text(args).map(|prefix| Value::from(text.strip_prefix(prefix.as_str()).unwrap_or(text))),
        "removesuffix" => one_text(args).map(|suffix| Value::from(text.strip_suffix(suffix.as_str()).unwrap_or(text))),
        "index" | "rindex" => one_text(args).and_then(|needle| {
            let found = if method == "index" { text.find(&needle) } else { text.rfind(&needle) };
            let at = found.ok_or_else(|| invalid("substring not found"))?;
            Ok(Value::from(text[..at].chars().count()))
        }),
        "swapcase" => Ok(Value::from(text.chars().map(swap_case).collect::<String>())),
        "casefold" => Ok(Value::from(text.to_lowercase())),
        "istitle" => {
            Ok(Value::from(text.split_whitespace().all(|word| word.chars().next().is_some_and(char::is_uppercase))))
        }
        "isidentifier" => Ok(Value::from(
            text.chars().enumerate().all(|(i, c)| c == '_' || c.is_alphabetic() || (i > 0 && c.is_numeric()))
                && !text.is_empty(),
        )),
        "isdecimal" => Ok(Value::from(!text.is_empty() && text.chars().all(|c| c.is_ascii_digit()))),
        "zfill" => from_args(args).and_then(|(width,): (usize,)| {
            check_width(width)?;
            let (sign, digits) = match text.strip_prefix(['-', '+']) {
                Some(digits) => text.split_at(text.len() - digits.len()),
                None => ("", text),
            };
            let missing = width.saturating_sub(text.chars().count());
            Ok(Value::from(format!("{sign}{}{digits}", "0".repeat(missing))))
        }),
        "ljust" | "rjust" | "center" => justify(text, method, args),
        "expandtabs" => Ok(Value::from(text.replace('\t', "        "))),
        "encode" => Ok(Value::from(text)),
        _ => return None,
    })
}

fn list<'t>(parts: impl Iterator<Item = &'t str>) -> Value {
    PyList::value(parts.map(Value::from).collect())
}

fn three(a: &str, b: &str, c: &str) -> Value {
    tuple(vec![Value::from(a), Value::from(b), Value::from(c)])
}

fn one_text(args: &[Value]) -> Result<String, Error> {
    from_args(args).map(|(text,): (String,)| text)
}

fn swap_case(c: char) -> char {
    let swapped = if c.is_uppercase() { c.to_lowercase().next() } else { c.to_uppercase().next() };
    swapped.unwrap_or(c)
}

fn split(text: &str, from_right: bool, args: &[Value]) -> Result<Value, Error> {
    let (by, limit, kwargs): (Option<Value>, Option<i64>, Kwargs) = from_args(args)?;
    let by = match by {
        Some(by) => Some(by),
        None => kwargs.get::<Option<Value>>("sep")?,
    };
    let limit = match limit {
        Some(limit) => Some(limit),
        None => kwargs.get::<Option<i64>>("maxsplit")?,
    };
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    let Some(by) = by.filter(|by| !by.is_none()) else {
        return Ok(match limit {
            None => list(text.split_whitespace()),
            Some(limit) => list(split_whitespace_limited(text, limit).into_iter()),
        });
    };
    let by = by
        .as_str()
        .filter(|by| !by.is_empty())
        .ok_or_else(|| invalid("the separator of `split` must be a text that is not empty"))?;
    Ok(match (limit, from_right) {
        (None, _) => list(text.split(by)),
        (Some(limit), false) => list(text.splitn(limit + 1, by)),
        (Some(limit), true) => {
            let mut parts: Vec<&str> = text.rsplitn(limit + 1, by).collect();
            parts.reverse();
            list(parts.into_iter())
        }
    })
}

fn split_whitespace_limited(text: &str, limit: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    while parts.len() < limit
        && let Some((word, more)) = rest.split_once(char::is_whitespace)
    {
        parts.push(word);
        rest = more.trim_start();
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

fn check_width(width: usize) -> Result<(), Error> {
    if width > MAX_WIDTH { Err(invalid("the width is too large")) } else { Ok(()) }
}

fn format_text(text: &str, args: &[Value]) -> Result<Value, Error> {
    let mut arguments: Vec<Value> = args.to_vec();
    let named = arguments.pop_if(|last| last.is_kwargs());
    let mut arguments = printable(arguments);
    let named: Vec<(String, Value)> = named
        .iter()
        .flat_map(super::pairs)
        .map(|(key, value)| (python_str(&key), printable(vec![value]).pop().unwrap_or_default()))
        .collect();
    let all: Vec<Value> = arguments.iter().chain(named.iter().map(|(_, value)| value)).cloned().collect();
    check_format(FormatStyle::StrFormat, text, &all)?;
    if !named.is_empty() {
        arguments.push(Kwargs::from_iter(named).into());
    }
    format(FormatStyle::StrFormat, text, &arguments).map(Value::from)
}

fn justify(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (width, fill): (usize, Option<char>) = from_args(args)?;
    check_width(width)?;
    let missing = width.saturating_sub(text.chars().count());
    let left = match method {
        "ljust" => 0,
        "rjust" => missing,
        _ => missing / 2,
    };
    let pad = |count: usize| fill.unwrap_or(' ').to_string().repeat(count);
    Ok(Value::from(format!("{}{text}{}", pad(left), pad(missing - left))))
}
