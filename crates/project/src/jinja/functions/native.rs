//! Functions and namespaces written in Rust.

use std::{fmt, sync::Arc};

use minijinja::{
    Error, State, Value,
    value::{Enumerator, Object, ObjectRepr},
};

type Function = dyn Fn(&mut State<'_, '_>, &[Value]) -> Result<Value, Error> + Send + Sync;

/// A function.
pub(crate) struct Native {
    name: &'static str,
    function: Box<Function>,
}

impl Native {
    pub(crate) fn new(
        name: &'static str,
        function: impl Fn(&mut State<'_, '_>, &[Value]) -> Result<Value, Error> + Send + Sync + 'static,
    ) -> Self {
        Self { name, function: Box::new(function) }
    }
}

impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<function {}>", self.name)
    }
}

impl Object for Native {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        (self.function)(state, args)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<function {}>", self.name)
    }
}

/// A fixed set of named values: `modules`, `exceptions`, `api`.
#[derive(Debug)]
pub(crate) struct Namespace {
    pub(crate) name: &'static str,
    pub(crate) entries: Vec<(&'static str, Value)>,
}

impl Namespace {
    /// A namespace of functions and values.
    pub(crate) fn value(name: &'static str, entries: Vec<(&'static str, Value)>) -> Value {
        Value::from_object(Self { name, entries })
    }
}

/// An entry of a namespace.
pub(crate) fn entry(
    name: &'static str,
    function: impl Fn(&mut State<'_, '_>, &[Value]) -> Result<Value, Error> + Send + Sync + 'static,
) -> (&'static str, Value) {
    (name, Value::from_object(Native::new(name, function)))
}

impl Object for Namespace {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        self.entries.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.entries.iter().map(|(name, _)| Value::from(*name)).collect())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.name)
    }
}
