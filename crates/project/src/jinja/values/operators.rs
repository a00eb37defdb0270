//! Python's `+`, `-`, `*`, `%`, `~` and slices, which the rewritten template calls as functions.

use minijinja::{
    Error, Value,
    formatting::{FormatStyle, format},
    value::{ValueKind, from_args},
};

use super::{
    MAX_WIDTH, PyDict, PyList, check_items, check_text, float, integer, invalid, is_list, items, python_str, too_large,
    tuple,
};
use crate::jinja::datetime;

fn unsupported(operator: &str, a: &Value, b: &Value) -> Error {
    invalid(format!("`{operator}` does not work between {} and {}", a.kind(), b.kind()))
}

fn from_integer(value: i128) -> Value {
    i64::try_from(value).map_or_else(|_| Value::from(value), Value::from)
}

fn numbers(
    operator: &str,
    a: &Value,
    b: &Value,
    integers: fn(i128, i128) -> Option<i128>,
    floats: fn(f64, f64) -> f64,
) -> Result<Value, Error> {
    if let (Some(x), Some(y)) = (integer(a), integer(b)) {
        return integers(x, y)
            .map(from_integer)
            .ok_or_else(|| invalid(format!("`{operator}` overflows or divides by zero")));
    }
    match (float(a), float(b)) {
        (Some(x), Some(y)) => Ok(Value::from(floats(x, y))),
        _ => Err(unsupported(operator, a, b)),
    }
}

/// `a + b`.
pub(crate) fn add(a: &Value, b: &Value) -> Result<Value, Error> {
    if let (Some(x), Some(y)) = (a.as_str(), b.as_str()) {
        check_text(x.len() + y.len())?;
        return Ok(Value::from([x, y].concat()));
    }
    if (a.is_tuple() && b.is_tuple()) || (is_list(a) && is_list(b)) {
        check_items(a.len().unwrap_or_default() + b.len().unwrap_or_default())?;
    }
    if a.is_tuple() && b.is_tuple() {
        return Ok(tuple(items(a).into_iter().chain(items(b)).collect()));
    }
    if is_list(a) && is_list(b) {
        return Ok(PyList::value(items(a).into_iter().chain(items(b)).collect()));
    }
    if let Some(moment) = datetime::add(a, b) {
        return moment;
    }
    numbers("+", a, b, i128::checked_add, |x, y| x + y)
}

/// `a - b`.
pub(crate) fn subtract(a: &Value, b: &Value) -> Result<Value, Error> {
    if let Some(result) = datetime::subtract(a, b) {
        return result;
    }
    numbers("-", a, b, i128::checked_sub, |x, y| x - y)
}

/// `a * b`.
pub(crate) fn multiply(a: &Value, b: &Value) -> Result<Value, Error> {
    for (sequence, count) in [(a, b), (b, a)] {
        let Some(count) = integer(count).filter(|_| integer(sequence).is_none()) else { continue };
        let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
        if let Some(text) = sequence.as_str() {
            check_text(text.len().saturating_mul(count))?;
            return Ok(Value::from(text.repeat(count)));
        }
        if is_list(sequence) || sequence.is_tuple() {
            let once = items(sequence);
            check_items(once.len().saturating_mul(count))?;
            let repeated = once.iter().cycle().take(once.len() * count).cloned().collect();
            return Ok(if sequence.is_tuple() { tuple(repeated) } else { PyList::value(repeated) });
        }
        if let Some(duration) = datetime::multiply(sequence, count as i64) {
            return Ok(duration);
        }
    }
    numbers("*", a, b, i128::checked_mul, |x, y| x * y)
}

/// `a % b`: text formatting, or the remainder with the divisor's sign.
pub(crate) fn modulo(a: &Value, b: &Value) -> Result<Value, Error> {
    let Some(template) = a.as_str() else {
        return numbers(
            "%",
            a,
            b,
            |x, y| x.checked_rem(y).map(|r| if r != 0 && (r < 0) != (y < 0) { r + y } else { r }),
            |x, y| x - y * (x / y).floor(),
        );
    };
    let arguments = if b.is_tuple() { items(b) } else { vec![b.clone()] };
    let arguments = printable(arguments);
    check_format(FormatStyle::Printf, template, &arguments)?;
    format(FormatStyle::Printf, template, &arguments).map(Value::from)
}

/// That text formatting gives no text without end: neither by wide fields nor by arguments named many times.
pub(crate) fn check_format(style: FormatStyle, template: &str, arguments: &[Value]) -> Result<(), Error> {
    let (opening, literal) = if style == FormatStyle::Printf { ('%', "%%") } else { ('{', "{{") };
    let is_wide = |digits: &str| !digits.is_empty() && !digits.parse::<usize>().is_ok_and(|width| width <= MAX_WIDTH);
    let (mut fields, mut takes_width) = (0usize, false);
    for field in template.replace(literal, "").split(opening).skip(1) {
        fields += 1;
        let numbers = if style == FormatStyle::Printf {
            // A name in parentheses, flags, width and precision, then what kind of value it is.
            let unnamed = field.split_once(')').filter(|_| field.starts_with('(')).map_or(field, |(_, rest)| rest);
            let end = unnamed.find(|c: char| !"-+ #0123456789.*".contains(c)).unwrap_or(unnamed.len());
            &unnamed[..end]
        } else {
            let inner = field.split('}').next().unwrap_or_default();
            // A field that is not closed before the next one opens takes its width from that.
            takes_width |= !field.contains('}');
            inner.split_once(':').map_or("", |(_, numbers)| numbers)
        };
        takes_width |= numbers.contains('*');
        if numbers.split(|c: char| !c.is_ascii_digit()).any(is_wide) {
            return Err(too_large("a field of a text format is too wide"));
        }
    }
    if takes_width && arguments.iter().any(|value| integer(value).is_some_and(|width| width > MAX_WIDTH as i128)) {
        return Err(too_large("a field of a text format is too wide"));
    }
    let lengths = || arguments.iter().map(|value| python_str(value).len());
    let filled = match style {
        FormatStyle::Printf => lengths().sum::<usize>(),
        FormatStyle::StrFormat => lengths().max().unwrap_or_default().saturating_mul(fields),
    };
    check_text(filled.saturating_add(template.len()))
}

/// That a replacement gives no text without end. The text, what is replaced and by what come first in `arguments`.
pub(crate) fn check_replace(arguments: &[Value]) -> Result<(), Error> {
    let [text, from, to, ..] = arguments else { return Ok(()) };
    let (text, from, to) = (python_str(text), python_str(from), python_str(to));
    let places = text.matches(from.as_str()).count();
    check_text(text.len().saturating_add(places.saturating_mul(to.len())))
}

/// The parts with `by` between them.
pub(crate) fn join(parts: impl Iterator<Item = Result<String, Error>>, by: &str) -> Result<Value, Error> {
    let mut out = String::new();
    for (index, part) in parts.enumerate() {
        let part = part?;
        check_text(out.len() + by.len() + part.len())?;
        out.push_str(if index > 0 { by } else { "" });
        out.push_str(&part);
    }
    Ok(Value::from(out))
}

/// Values as text formatting prints them: what the engine would write differently becomes its Python text.
pub(crate) fn printable(values: Vec<Value>) -> Vec<Value> {
    let is_plain = |value: &Value| {
        matches!(value.kind(), ValueKind::Number | ValueKind::String) || value.downcast_object_ref::<PyDict>().is_some()
    };
    values
        .into_iter()
        .map(|value| if is_plain(&value) || value.is_kwargs() { value } else { Value::from(python_str(&value)) })
        .collect()
}

/// `a ~ b` and adjacent strings.
pub(crate) fn concatenate(parts: &[Value]) -> Result<Value, Error> {
    join(parts.iter().map(|part| Ok(python_str(part))), "")
}

/// `value[start:stop:step]`.
pub(crate) fn slice(args: &[Value]) -> Result<Value, Error> {
    let (value, start, stop, step): (&Value, Option<i64>, Option<i64>, Option<i64>) = from_args(args)?;
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(invalid("the step of a slice cannot be 0"));
    }
    let pick = |length: usize| -> Vec<usize> {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
        let clamp = |bound: i64| (if bound < 0 { bound + length } else { bound }).clamp(low, high);
        let (mut at, stop) = match step > 0 {
            true => (start.map_or(low, clamp), stop.map_or(high, clamp)),
            false => (start.map_or(high, clamp), stop.map_or(low, clamp)),
        };
        let mut picked = Vec::new();
        while (step > 0 && at < stop) || (step < 0 && at > stop) {
            picked.extend(usize::try_from(at));
            at = at.saturating_add(step);
        }
        picked
    };
    if let Some(text) = value.as_str() {
        let chars: Vec<char> = text.chars().collect();
        return Ok(Value::from(pick(chars.len()).into_iter().filter_map(|i| chars.get(i)).collect::<String>()));
    }
    if value.is_undefined() {
        return Ok(PyList::value(Vec::new()));
    }
    if !is_list(value) && !value.is_tuple() {
        return Err(invalid(format!("{} cannot be sliced", value.kind())));
    }
    let all = items(value);
    let picked = pick(all.len()).into_iter().filter_map(|i| all.get(i).cloned()).collect();
    Ok(if value.is_tuple() { tuple(picked) } else { PyList::value(picked) })
}
