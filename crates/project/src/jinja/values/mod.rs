//! Values that behave as Python's do: lists and dicts changed in place, `str()` and `repr()`, conversions from and to JSON.

mod dict;
mod list;
mod operators;
mod text;
mod text_methods;

use minijinja::{
    Error, ErrorKind, Value,
    value::{Tuple, ValueKind},
};
use serde_json::Value as Json;

use super::{error::fault, functions::relation::RelationValue};

pub(crate) use self::{
    dict::PyDict,
    list::PyList,
    operators::{add, check_format, check_replace, concatenate, join, modulo, multiply, slice, subtract},
    text::{python_repr, python_str},
    text_methods::unknown_method,
};

/// How deep nested values are followed before they are cut off: a list can hold itself.
pub(crate) const MAX_DEPTH: usize = 100;

/// Bytes of the largest text a template may make: doubled a few dozen times, any text fills any memory.
pub(crate) const MAX_TEXT_BYTES: usize = 32 << 20;
/// Elements of the largest list a template may make.
pub(crate) const MAX_ITEMS: usize = 1_000_000;
/// The widest field of text formatting, in characters.
pub(crate) const MAX_WIDTH: usize = 100_000;

/// The failure of a template that makes something without end.
pub(crate) fn too_large(what: &str) -> Error {
    let help = "look for a loop that makes it longer each time; large data belongs into a seed or a source";
    fault("WL-J010", format!("the template was stopped: {what}"), Some(help.to_owned()))
}

/// That a text of so many bytes may be made.
pub(crate) fn check_text(bytes: usize) -> Result<(), Error> {
    if bytes > MAX_TEXT_BYTES { Err(too_large("a text grew beyond 32 MiB")) } else { Ok(()) }
}

/// That a list of so many elements may be made.
pub(crate) fn check_items(count: usize) -> Result<(), Error> {
    if count > MAX_ITEMS { Err(too_large("a list grew beyond 1,000,000 elements")) } else { Ok(()) }
}

/// A text, unless it is too large.
pub(crate) fn bounded(text: String) -> Result<Value, Error> {
    check_text(text.len()).map(|()| Value::from(text))
}

/// A failure of an operation on values.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// A value templates may change in place, all the way down.
pub(crate) fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), _, _) => Value::from(value),
            (None, Some(value), _) => Value::from(value),
            (None, None, Some(value)) => Value::from(value),
            (None, None, None) => Value::from(number.to_string()),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => PyList::value(items.iter().map(from_json).collect()),
        Json::Object(map) => {
            PyDict::value(map.iter().map(|(key, value)| (Value::from(key.as_str()), from_json(value))))
        }
    }
}

/// What JSON can hold of a value; objects without a JSON form become their text, undefined becomes null.
pub(crate) fn to_json(value: &Value) -> Json {
    let mut room = MAX_TEXT_BYTES;
    to_json_within(value, MAX_DEPTH, &mut room)
}

/// `room` is what may still be added: a list that holds itself twice is twice as large with each level.
fn to_json_within(value: &Value, depth: usize, room: &mut usize) -> Json {
    *room = room.saturating_sub(1 + value.as_str().map_or(0, str::len));
    if depth == 0 || *room == 0 {
        return Json::Null;
    }
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Json::Null,
        ValueKind::Bool => Json::Bool(value.is_true()),
        ValueKind::Number => number_to_json(value),
        ValueKind::Seq | ValueKind::Iterable => {
            Json::Array(items(value).iter().map(|item| to_json_within(item, depth - 1, room)).collect())
        }
        ValueKind::Map if value.downcast_object_ref::<RelationValue>().is_some() => Json::String(value.to_string()),
        ValueKind::Map => Json::Object(
            pairs(value).iter().map(|(key, item)| (python_str(key), to_json_within(item, depth - 1, room))).collect(),
        ),
        _ => Json::String(python_str(value)),
    }
}

fn number_to_json(value: &Value) -> Json {
    if value.is_integer() {
        if let Ok(integer) = i64::try_from(value.clone()) {
            return Json::from(integer);
        }
        if let Ok(integer) = u64::try_from(value.clone()) {
            return Json::from(integer);
        }
    }
    f64::try_from(value.clone()).map_or_else(|_| Json::String(value.to_string()), Json::from)
}

/// The elements of anything that can be looped over, at this moment.
pub(crate) fn items(value: &Value) -> Vec<Value> {
    if let Some(list) = value.downcast_object_ref::<PyList>() {
        return list.snapshot();
    }
    value.try_iter().map(Iterator::collect).unwrap_or_default()
}

/// The entries of a mapping, at this moment.
pub(crate) fn pairs(value: &Value) -> Vec<(Value, Value)> {
    if let Some(dict) = value.downcast_object_ref::<PyDict>() {
        return dict.snapshot();
    }
    value.as_object().and_then(|object| object.try_iter_pairs()).map(Iterator::collect).unwrap_or_default()
}

/// A list that can be changed, if the value is an immutable sequence; tuples and everything else stay.
pub(crate) fn mutable(value: Value) -> Value {
    let is_ours = value.is_tuple() || value.downcast_object_ref::<PyList>().is_some();
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable if !is_ours => PyList::value(items(&value)),
        _ => value,
    }
}

/// A tuple.
pub(crate) fn tuple(values: Vec<Value>) -> Value {
    Value::from(Tuple::new(values))
}

/// Whether the value is a list or another sequence, but no tuple.
pub(crate) fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) && !value.is_tuple()
}

/// The integer, if it is one (booleans count, as in Python).
pub(crate) fn integer(value: &Value) -> Option<i128> {
    match value.kind() {
        ValueKind::Bool => Some(i128::from(value.is_true())),
        ValueKind::Number if value.is_integer() => i128::try_from(value.clone()).ok(),
        _ => None,
    }
}

/// The number as a double, if it is a number.
pub(crate) fn float(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()).ok().or_else(|| integer(value).map(|i| i as f64)),
        _ => None,
    }
}
