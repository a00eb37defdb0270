//! What dbt puts into every template's context.

mod adapter;
mod column;
mod config;
mod exceptions;
mod filters;
mod graph;
mod modules;
mod native;
pub(crate) mod relation;
mod serialize;
mod statement;
mod table;
mod variables;

use minijinja::{Error, ErrorKind, State, Value, value::Rest};

use self::native::Native;
use super::{
    macros, session,
    session::Globals,
    values::{self, PyDict, PyList, items, pairs, python_str, tuple},
};

pub(crate) use filters::add_filters;

/// The functions and objects of every render.
pub(crate) fn globals() -> Globals {
    let mut globals = Globals::new();
    internals(&mut globals);
    python(&mut globals);
    graph::add(&mut globals);
    config::add(&mut globals);
    variables::add(&mut globals);
    statement::add(&mut globals);
    exceptions::add(&mut globals);
    serialize::add(&mut globals);
    adapter::add(&mut globals);
    column::add(&mut globals);
    modules::add(&mut globals);
    globals.insert("dbt_version", Value::from("1.10.0"));
    globals.insert("thread_id", Value::from("Thread-1"));
    globals.insert("dbt_metadata_envs", PyDict::value([]));
    let builtins: Vec<(&str, Value)> =
        ["ref", "source", "config"].into_iter().filter_map(|name| Some((name, globals.get(name)?.clone()))).collect();
    globals.insert("builtins", Value::from_object(native::Namespace { name: "builtins", entries: builtins }));
    globals
}

/// Registers a function that reads its arguments itself.
pub(crate) fn add_function(
    globals: &mut Globals,
    name: &'static str,
    function: impl Fn(&mut State<'_, '_>, &[Value]) -> Result<Value, Error> + Send + Sync + 'static,
) {
    globals.insert(name, Value::from_object(Native::new(name, function)));
}

/// What rewritten templates call.
fn internals(globals: &mut Globals) {
    add_function(globals, "__list", |_, args| Ok(PyList::value(args.first().map(items).unwrap_or_default())));
    add_function(globals, "__dict", |_, args| Ok(PyDict::value(args.first().map(pairs).unwrap_or_default())));
    add_function(globals, "__add", |_, args| binary(args, values::add));
    add_function(globals, "__sub", |_, args| binary(args, values::subtract));
    add_function(globals, "__mul", |_, args| binary(args, values::multiply));
    add_function(globals, "__mod", |_, args| binary(args, values::modulo));
    add_function(globals, "__cat", |_, args| values::concatenate(args));
    add_function(globals, "__slice", |_, args| values::slice(args));
    add_function(globals, "__bind", |_, args| macros::bind(args));
    add_function(globals, "__keep", |state, args| {
        macros::keep(state, args.first().cloned().unwrap_or_default()).map(Value::from)
    });
    add_function(globals, "__boot", |state, args| {
        session::boot(state, args.first().cloned().unwrap_or_default()).map(Value::from)
    });
    add_function(globals, "return", macros::return_value);
}

fn binary(args: &[Value], operator: fn(&Value, &Value) -> Result<Value, Error>) -> Result<Value, Error> {
    match args {
        [a, b] => operator(a, b),
        _ => Err(Error::from(ErrorKind::MissingArgument)),
    }
}

/// Python's own functions, and dbt's variants of them.
fn python(globals: &mut Globals) {
    add_function(globals, "range", |_, args| {
        let (first, second, step): (i64, Option<i64>, Option<i64>) = minijinja::value::from_args(args)?;
        let (start, stop) = second.map_or((0, first), |second| (first, second));
        let step = step.unwrap_or(1);
        let length = if step == 0 { None } else { Some((stop - start).unsigned_abs().div_ceil(step.unsigned_abs())) };
        match length {
            Some(length) if length <= 1_000_000 => {
                let runs = (step > 0 && start < stop) || (step < 0 && start > stop);
                let count = if runs { length } else { 0 };
                Ok(PyList::value((0..count as i64).map(|i| Value::from(start + i * step)).collect()))
            }
            Some(_) => Err(values::invalid("range() would have more than 1,000,000 elements")),
            None => Err(values::invalid("the step of range() cannot be 0")),
        }
    });
    add_function(globals, "dict", |_, args| {
        let (from, named) = match args.split_last() {
            Some((last, rest)) if last.is_kwargs() => (rest.first(), pairs(last)),
            _ => (args.first(), Vec::new()),
        };
        let first = match from {
            Some(value) if value.kind() == minijinja::value::ValueKind::Map => pairs(value),
            Some(value) => items(value)
                .iter()
                .map(items)
                .filter_map(|pair| Some((pair.first()?.clone(), pair.get(1)?.clone())))
                .collect(),
            None => Vec::new(),
        };
        Ok(PyDict::value(first.into_iter().chain(named)))
    });
    add_function(globals, "set", |_, args| Ok(args.first().map_or(Value::from(()), unique)));
    add_function(globals, "set_strict", |_, args| iterable(args, 0).map(unique));
    add_function(globals, "zip", |_, args| Ok(zip(args)));
    add_function(globals, "zip_strict", |_, args| {
        for index in 0..args.len() {
            iterable(args, index)?;
        }
        Ok(zip(args))
    });
    add_function(globals, "diff_of_two_dicts", |_, args| {
        let (a, b): (Value, Value) = minijinja::value::from_args(args)?;
        Ok(diff_of_two_dicts(&a, &b))
    });
    add_function(globals, "local_md5", |_, args| {
        let (text,): (Value,) = minijinja::value::from_args(args)?;
        Ok(Value::from(filters::md5(&python_str(&text))))
    });
    for name in ["log", "print"] {
        add_function(globals, name, move |state, args| {
            let (Rest(parts), kwargs): (Rest<Value>, minijinja::value::Kwargs) = minijinja::value::from_args(args)?;
            let is_info = name == "print"
                || kwargs.get::<Option<bool>>("info")?.or(parts.get(1).map(Value::is_true)).unwrap_or(false);
            if is_info {
                (session::session(state)?.scope.log)(&parts.first().map(python_str).unwrap_or_default());
            }
            Ok(Value::from(""))
        });
    }
}

fn iterable(args: &[Value], index: usize) -> Result<&Value, Error> {
    let value = args.get(index).ok_or_else(|| Error::from(ErrorKind::MissingArgument))?;
    match value.is_none() || value.is_undefined() || value.try_iter().is_err() {
        true => Err(values::invalid(format!("{} cannot be looped over", value.kind()))),
        false => Ok(value),
    }
}

fn unique(value: &Value) -> Value {
    let mut seen: Vec<Value> = Vec::new();
    for item in items(value) {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    PyList::value(seen)
}

fn zip(args: &[Value]) -> Value {
    let columns: Vec<Vec<Value>> = args.iter().filter(|arg| !arg.is_kwargs()).map(items).collect();
    let length = columns.iter().map(Vec::len).min().unwrap_or_default();
    PyList::value(
        (0..length).map(|row| tuple(columns.iter().filter_map(|column| column.get(row).cloned()).collect())).collect(),
    )
}

/// Entries of `a` that `b` lacks; keys and list elements are compared without regard to case.
fn diff_of_two_dicts(a: &Value, b: &Value) -> Value {
    let lower = |value: &Value| python_str(value).to_lowercase();
    let others: std::collections::HashMap<String, Vec<String>> =
        pairs(b).iter().map(|(key, list)| (lower(key), items(list).iter().map(lower).collect())).collect();
    PyDict::value(pairs(a).into_iter().filter_map(|(key, list)| match others.get(&lower(&key)) {
        None => Some((key, list)),
        Some(known) => {
            let missing: Vec<Value> = items(&list).into_iter().filter(|item| !known.contains(&lower(item))).collect();
            (!missing.is_empty()).then(|| (key, PyList::value(missing)))
        }
    }))
}
