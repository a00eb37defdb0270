//! Macros as values: bound to their arguments as Python binds them, loaded into a render at their first call.

use std::{
    error::Error as _,
    fmt,
    sync::{Arc, atomic::Ordering},
};

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Kwargs, Object, ObjectRepr, from_args},
};
use wardlake_core::did_you_mean;

use super::{
    error::{fault, in_macro, undefined_text},
    registry::{DBT, Registry},
    session::{Session, session},
    values::{PyDict, PyList, invalid, pairs, python_str},
};

/// Carries a `return` to the macro it ends.
#[derive(Debug, thiserror::Error)]
#[error("return outside a macro")]
pub(crate) struct ReturnMarker;

/// `return(value)`.
pub(crate) fn return_value(state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
    let (value,): (Option<Value>,) = from_args(args)?;
    session(state)?.progress().returned = Some(value.unwrap_or(Value::from(())));
    Err(Error::new(ErrorKind::InvalidOperation, "`return` ends a macro; there is none here").with_source(ReturnMarker))
}

/// Whether an error is a `return` on its way.
pub(crate) fn is_return(failure: &Error) -> bool {
    failure.source().is_some_and(|source| source.is::<ReturnMarker>())
}

/// A macro of this render: the engine's macro and how its arguments are bound.
#[derive(Debug)]
pub(crate) struct BoundMacro {
    inner: Value,
    name: String,
    parameters: Vec<String>,
    takes_varargs: bool,
    takes_kwargs: bool,
    takes_caller: bool,
}

/// `__bind(macro, parameters, flags)`.
pub(crate) fn bind(args: &[Value]) -> Result<Value, Error> {
    let (inner, parameters, flags): (Value, String, String) = from_args(args)?;
    let name = inner.get_attr("name").map(|name| python_str(&name)).unwrap_or_default();
    Ok(Value::from_object(BoundMacro {
        inner,
        name,
        parameters: parameters.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        takes_varargs: flags.contains('v'),
        takes_kwargs: flags.contains('k'),
        takes_caller: flags.contains('c'),
    }))
}

impl BoundMacro {
    /// All arguments as keywords of the engine's macro.
    fn bind(&self, args: &[Value]) -> Result<Kwargs, Error> {
        let (positional, keywords) = match args.split_last() {
            Some((last, rest)) if last.is_kwargs() => (rest, pairs(last)),
            _ => (args, Vec::new()),
        };
        let mut bound: Vec<(String, Value)> = self.parameters.iter().cloned().zip(positional.iter().cloned()).collect();
        let rest = positional.get(self.parameters.len()..).unwrap_or_default();
        if !rest.is_empty() && !self.takes_varargs {
            return Err(self.wrong(format!(
                "takes at most {} arguments, {} were given",
                self.parameters.len(),
                positional.len()
            )));
        }
        let mut more = Vec::new();
        for (key, value) in keywords {
            let key = python_str(&key);
            if key == "__line" {
                continue;
            }
            if self.parameters.contains(&key) {
                if bound.iter().any(|(name, _)| *name == key) {
                    return Err(self.wrong(format!("got the argument `{key}` twice")));
                }
                bound.push((key, value));
            } else if key == "caller" {
                if self.takes_caller {
                    bound.push((key, value));
                }
            } else if self.takes_kwargs {
                more.push((Value::from(key), value));
            } else {
                let known = did_you_mean(&key, self.parameters.iter().map(String::as_str));
                let hint = known.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
                return Err(self.wrong(format!("has no argument `{key}`{hint}")));
            }
        }
        if self.takes_varargs {
            bound.push(("varargs".to_owned(), PyList::value(rest.to_vec())));
        }
        if self.takes_kwargs {
            bound.push(("kwargs".to_owned(), PyDict::value(more)));
        }
        Ok(Kwargs::from_iter(bound))
    }

    fn wrong(&self, what: String) -> Error {
        let help = format!("its arguments are ({})", self.parameters.join(", "));
        fault("WL-J004", format!("macro `{}` {what}", self.name), Some(help))
    }
}

impl Object for BoundMacro {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        (key.as_str()? == "name").then(|| Value::from(self.name.as_str()))
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let arguments = Value::from(self.bind(args)?);
        let result = self.inner.call(state, &[arguments]);
        let session = session(state)?;
        match result {
            Ok(text) => {
                session.has_returned.store(false, Ordering::Relaxed);
                Ok(text)
            }
            Err(failure) if is_return(&failure) => {
                session.has_returned.store(true, Ordering::Relaxed);
                Ok(session.progress().returned.take().unwrap_or_default())
            }
            Err(failure) => Err(in_macro(&self.name, failure)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<macro {}>", self.name)
    }
}

/// A macro of the registry.
#[derive(Debug)]
pub(crate) struct MacroRef {
    index: usize,
    unique_id: String,
    name: String,
}

impl MacroRef {
    /// The macro at that place of the registry.
    pub(crate) fn value(registry: &Registry, index: usize) -> Option<Value> {
        let def = registry.macros.get(index)?;
        Some(Value::from_object(Self { index, unique_id: def.unique_id.clone(), name: def.name.clone() }))
    }

    fn load(&self, state: &mut State<'_, '_>, session: &Arc<Session>) -> Result<Value, Error> {
        let (loader, package) = {
            let progress = session.progress();
            if let Some(loaded) = progress.loaded.get(&self.index) {
                return Ok(loaded.clone());
            }
            let package = session.registry.macros.get(self.index).map(|def| def.package.clone());
            (progress.loader.clone(), package)
        };
        let (Some(loader), Some(package)) = (loader, package) else {
            return Err(invalid("the render cannot load macros"));
        };
        session.progress().packages.push(package);
        let outcome = loader.call(state, &[Value::from(self.unique_id.as_str())]);
        let mut progress = session.progress();
        progress.packages.pop();
        outcome?;
        let kept = progress.kept.take().ok_or_else(|| invalid(format!("`{}` cannot be called", self.name)))?;
        progress.loaded.insert(self.index, kept.clone());
        Ok(kept)
    }
}

impl Object for MacroRef {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        (key.as_str()? == "name").then(|| Value::from(self.name.as_str()))
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let session = session(state)?;
        session.note_macro(&self.unique_id);
        self.load(state, &session)?.call(state, args)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<macro {}>", self.unique_id)
    }
}

/// `__keep(macro)`, at the end of a macro's template.
pub(crate) fn keep(state: &mut State<'_, '_>, bound: Value) -> Result<&'static str, Error> {
    session(state)?.progress().kept = Some(bound);
    Ok("")
}

/// A package as a namespace: `dbt_utils.star(...)`.
#[derive(Debug)]
pub(crate) struct PackageValue {
    pub(crate) package: String,
}

impl PackageValue {
    fn find(&self, session: &Session, name: &str) -> Option<Value> {
        match session.registry.in_package(&self.package, name) {
            Some(index) => MacroRef::value(&session.registry, index),
            // Some of dbt's macros (`statement`, `run_query`) are functions here.
            None if self.package == DBT => session.globals.get(name).cloned(),
            None => None,
        }
    }
}

impl Object for PackageValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(Value::from_object(Qualified { package: self.package.clone(), name: key.as_str()?.to_owned() }))
    }

    fn call_method(self: &Arc<Self>, state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let session = session(state)?;
        match self.find(&session, method) {
            Some(found) => found.call(state, args),
            None => {
                let known: Vec<&str> = session.registry.names(&self.package).collect();
                let suggestion = did_you_mean(method, known).map(|name| format!("{}.{name}", self.package));
                let (message, help) = undefined_text(&format!("{}.{method}", self.package), suggestion);
                Err(fault("WL-J002", message, Some(help)))
            }
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<package {}>", self.package)
    }
}

/// `dbt_utils.star` without a call: the macro is looked up when it is called.
#[derive(Debug)]
struct Qualified {
    package: String,
    name: String,
}

impl Object for Qualified {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let package = Arc::new(PackageValue { package: self.package.clone() });
        Object::call_method(&package, state, &self.name, args)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<macro {}.{}>", self.package, self.name)
    }
}
