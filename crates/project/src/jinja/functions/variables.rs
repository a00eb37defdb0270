//! `var`, `env_var`, `is_incremental`.

use std::{fmt, sync::Arc};

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Kwargs, Object, ObjectRepr, from_args},
};
use serde_json::Value as Json;
use wardlake_core::did_you_mean;

use super::add_function;
use crate::jinja::{
    error::fault,
    session::{Globals, Session, session},
    values::from_json,
};

pub(super) fn add(globals: &mut Globals) {
    globals.insert("var", Value::from_object(Var));
    add_function(globals, "env_var", env_var);
    add_function(globals, "is_incremental", |state, _| {
        let session = session(state)?;
        Ok(Value::from(session.is_executing() && session.node.as_ref().is_some_and(|node| node.is_incremental)))
    });
    add_function(globals, "should_full_refresh", |state, _| {
        let session = session(state)?;
        let flag = session.scope.flags.get("FULL_REFRESH").and_then(Json::as_bool);
        Ok(Value::from(session.config("full_refresh").and_then(|value| value.as_bool()).or(flag).unwrap_or(false)))
    });
}

/// The `var` object.
#[derive(Debug)]
struct Var;

fn lookup(session: &Session, name: &str) -> Option<Value> {
    let scope = &session.scope;
    let of_package = || scope.package_vars.get(&session.package)?.get(name);
    scope.cli_vars.get(name).or_else(of_package).map(from_json)
}

impl Object for Var {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let (name, default, kwargs): (String, Option<Value>, Kwargs) = from_args(args)?;
        let session = session(state)?;
        if let Some(value) = lookup(&session, &name) {
            return Ok(value);
        }
        if let Some(default) = default {
            return Ok(default);
        }
        // `var('x', none)` and `var('x', default=…)` give a default too, although none arrives as no value.
        if args.iter().filter(|arg| !arg.is_kwargs()).count() > 1 || kwargs.has("default") {
            return Ok(kwargs.get::<Option<Value>>("default")?.unwrap_or(Value::from(())));
        }
        let mut known: Vec<&str> = session.scope.cli_vars.keys().map(String::as_str).collect();
        known.extend(
            session
                .scope
                .package_vars
                .get(&session.package)
                .into_iter()
                .flat_map(|vars| vars.keys().map(String::as_str)),
        );
        known.sort_unstable();
        known.dedup();
        let listed = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let help = match did_you_mean(&name, known) {
            Some(near) => format!("did you mean `{near}`? Known vars: {listed}"),
            None => format!("set it in dbt_project.yml under `vars:` or by --vars. Known vars: {listed}"),
        };
        Err(fault("WL-J006", format!("the var `{name}` is required, but nobody sets it"), Some(help)))
    }

    fn call_method(self: &Arc<Self>, state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        if method != "has_var" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (name,): (String,) = from_args(args)?;
        Ok(Value::from(lookup(&*session(state)?, &name).is_some()))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<function var>")
    }
}

fn env_var(state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
    let (name, default, kwargs): (String, Option<Value>, Kwargs) = from_args(args)?;
    if let Some(value) = (session(state)?.scope.env)(&name) {
        return Ok(Value::from(value));
    }
    let default = match default {
        Some(default) => Some(default),
        None => kwargs.get::<Option<Value>>("default")?,
    };
    default.ok_or_else(|| {
        let help = "set it, or give env_var a second argument as its default".to_owned();
        fault("WL-J007", format!("the environment variable `{name}` is required, but not set"), Some(help))
    })
}
