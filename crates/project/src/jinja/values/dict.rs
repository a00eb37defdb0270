//! Python's dict: insertion order, shared by whoever holds it, changed in place.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Enumerator, Kwargs, Object, ObjectRepr, from_args},
};

use super::{PyList, invalid, items, pairs, python_repr, tuple};

/// A dict. Loops run over its contents at their start.
#[derive(Debug, Default)]
pub(crate) struct PyDict(Mutex<Entries>);

/// Entries in order of their first insertion, with an index by key.
#[derive(Debug, Default)]
struct Entries {
    list: Vec<(Value, Value)>,
    positions: HashMap<Value, usize>,
}

impl Entries {
    fn get(&self, key: &Value) -> Option<&Value> {
        self.positions.get(key).and_then(|position| self.list.get(*position)).map(|entry| &entry.1)
    }

    fn get_str(&self, key: &str) -> Option<&Value> {
        // Most dicts of templates are small: a scan saves making a value of the key.
        if self.list.len() <= 12 {
            return self.list.iter().find(|entry| entry.0.as_str() == Some(key)).map(|entry| &entry.1);
        }
        self.get(&Value::from(key))
    }

    fn set(&mut self, key: Value, value: Value) {
        match self.positions.get(&key).and_then(|position| self.list.get_mut(*position)) {
            Some(entry) => entry.1 = value,
            None => {
                self.positions.insert(key.clone(), self.list.len());
                self.list.push((key, value));
            }
        }
    }

    fn remove(&mut self, key: &Value) -> Option<Value> {
        let position = self.positions.remove(key)?;
        let (_, value) = self.list.remove(position);
        for later in self.positions.values_mut().filter(|other| **other > position) {
            *later -= 1;
        }
        Some(value)
    }
}

impl PyDict {
    /// A new dict; later entries of a key win.
    pub(crate) fn value(entries: impl IntoIterator<Item = (Value, Value)>) -> Value {
        let mut new = Entries::default();
        for (key, value) in entries {
            new.set(key, value);
        }
        Value::from_object(Self(Mutex::new(new)))
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its entries at this moment.
    pub(crate) fn snapshot(&self) -> Vec<(Value, Value)> {
        self.lock().list.clone()
    }

    fn update(&self, args: &[Value]) -> Result<(), Error> {
        let (other, kwargs): (Option<Value>, Kwargs) = from_args(args)?;
        let mut more = match &other {
            Some(other) if other.kind() == minijinja::value::ValueKind::Map => pairs(other),
            Some(other) => items(other).iter().filter_map(pair).collect(),
            None => Vec::new(),
        };
        for name in kwargs.args() {
            more.push((Value::from(name), kwargs.get(name)?));
        }
        let mut entries = self.lock();
        for (key, value) in more {
            entries.set(key, value);
        }
        Ok(())
    }

    fn pop(&self, args: &[Value]) -> Result<Value, Error> {
        let (key, default): (Value, Option<Value>) = from_args(args)?;
        let removed = self.lock().remove(&key);
        // A default of `none` arrives as no value, so the number of arguments decides.
        match removed {
            Some(value) => Ok(value),
            None if args.len() > 1 => Ok(default.unwrap_or(Value::from(()))),
            None => Err(invalid(format!("the dict has no key {}", python_repr(&key)))),
        }
    }
}

fn pair(value: &Value) -> Option<(Value, Value)> {
    let mut parts = items(value).into_iter();
    Some((parts.next()?, parts.next()?))
}

impl Object for PyDict {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.lock().get(key).cloned()
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.lock().get_str(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.lock().list.iter().map(|entry| entry.0.clone()).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.lock().list.len())
    }

    fn call_method(self: &Arc<Self>, _state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let none = Value::from(());
        Ok(match method {
            "items" => PyList::value(self.snapshot().into_iter().map(|(key, value)| tuple(vec![key, value])).collect()),
            "keys" => PyList::value(self.snapshot().into_iter().map(|entry| entry.0).collect()),
            "values" => PyList::value(self.snapshot().into_iter().map(|entry| entry.1).collect()),
            "get" => {
                let (key, default): (Value, Option<Value>) = from_args(args)?;
                let found = self.lock().get(&key).cloned();
                found.unwrap_or_else(|| default.unwrap_or(none))
            }
            "update" => {
                self.update(args)?;
                none
            }
            "pop" => self.pop(args)?,
            "popitem" => {
                let last =
                    self.lock().list.last().map(|entry| entry.0.clone()).ok_or_else(|| invalid("the dict is empty"))?;
                let value = self.lock().remove(&last).unwrap_or_default();
                tuple(vec![last, value])
            }
            "setdefault" => {
                let (key, default): (Value, Option<Value>) = from_args(args)?;
                let mut entries = self.lock();
                match entries.get(&key) {
                    Some(value) => value.clone(),
                    None => {
                        let value = default.unwrap_or(none);
                        entries.set(key, value.clone());
                        value
                    }
                }
            }
            "clear" => {
                *self.lock() = Entries::default();
                none
            }
            "copy" => Self::value(self.snapshot()),
            // `__setitem__` is how some packages write `d[k] = v`, for which Jinja has no statement.
            "__setitem__" => {
                let (key, value): (Value, Value) = from_args(args)?;
                self.lock().set(key, value);
                none
            }
            // Not a method: a callable stored under that name may follow.
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&python_repr(&Value::from_dyn_object(self.clone())))
    }
}
