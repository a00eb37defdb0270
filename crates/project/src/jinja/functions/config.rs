//! `config(...)`, `config.get`, `config.require`.

use std::{fmt, sync::Arc};

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Kwargs, Object, ObjectRepr, from_args},
};
use wardlake_core::did_you_mean;

use crate::jinja::{
    error::fault,
    session::{Globals, session},
    values::{from_json, pairs, python_str, to_json},
};

pub(super) fn add(globals: &mut Globals) {
    globals.insert("config", Value::from_object(Config));
}

/// The `config` object.
#[derive(Debug)]
struct Config;

impl Config {
    fn get(state: &State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let (name, default, kwargs): (String, Option<Value>, Kwargs) = from_args(args)?;
        let default = match default {
            Some(default) => Some(default),
            None => kwargs.get::<Option<Value>>("default")?,
        };
        let found = session(state)?.config(&name).filter(|value| !value.is_null());
        Ok(found.map_or_else(|| default.unwrap_or(Value::from(())), |value| from_json(&value)))
    }

    fn require(state: &State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let (name, _): (String, Kwargs) = from_args(args)?;
        let session = session(state)?;
        if let Some(value) = session.config(&name) {
            return Ok(from_json(&value));
        }
        if !session.is_executing() {
            return Ok(Value::from(""));
        }
        let known: Vec<&str> = session.node.iter().flat_map(|node| node.config.keys().map(String::as_str)).collect();
        let help = match did_you_mean(&name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("set it: {{{{ config({name}=...) }}}}"),
        };
        Err(fault("WL-J015", format!("the config `{name}` is required here"), Some(help)))
    }
}

impl Object for Config {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, _key: &Value) -> Option<Value> {
        None
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let session = session(state)?;
        let mut progress = session.progress();
        for argument in args {
            if argument.kind() != minijinja::value::ValueKind::Map {
                return Err(Error::new(ErrorKind::InvalidOperation, "`config` takes keyword arguments or one dict"));
            }
            for (key, value) in pairs(argument) {
                progress.captured.config.insert(python_str(&key), to_json(&value));
            }
        }
        Ok(Value::from(""))
    }

    fn call_method(self: &Arc<Self>, state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let persists = |what: &str| {
            let docs = session(state)?.config("persist_docs");
            Ok::<bool, Error>(docs.and_then(|docs| docs.get(what)?.as_bool()).unwrap_or(false))
        };
        match method {
            "get" => Self::get(state, args),
            "require" => Self::require(state, args),
            "set" => {
                let (name, value): (String, Value) = from_args(args)?;
                session(state)?.progress().captured.config.insert(name, to_json(&value));
                Ok(Value::from(""))
            }
            "persist_relation_docs" => persists("relation").map(Value::from),
            "persist_column_docs" => persists("columns").map(Value::from),
            _ => Err(Error::new(ErrorKind::UnknownMethod, format!("`config` has no method `{method}`"))),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<config>")
    }
}
