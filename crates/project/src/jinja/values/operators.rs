//! Python's `+`, `-`, `*`, `%`, `~` and slices, which the rewritten template calls as functions.

use minijinja::{
    Error, Value,
    formatting::{FormatStyle, format},
    value::{ValueKind, from_args},
};

use super::{PyDict, PyList, float, integer, invalid, is_list, items, python_str, tuple};
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
        return Ok(Value::from([x, y].concat()));
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
        if sequence.len().unwrap_or(1).saturating_mul(count) > 10_000_000 {
            return Err(invalid("the repeated value would be too large"));
        }
        if let Some(text) = sequence.as_str() {
            return Ok(Value::from(text.repeat(count)));
        }
        if is_list(sequence) || sequence.is_tuple() {
            let once = items(sequence);
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
    format(FormatStyle::Printf, template, &printable(arguments)).map(Value::from)
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
pub(crate) fn concatenate(parts: &[Value]) -> String {
    parts.iter().map(python_str).collect()
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
