//! Python's list: shared by whoever holds it, changed in place.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Enumerator, Kwargs, Object, ObjectRepr, from_args},
};

use super::{check_items, integer, invalid, items, python_repr};

/// A list. Loops run over its contents at their start.
#[derive(Debug, Default)]
pub(crate) struct PyList(Mutex<Vec<Value>>);

impl PyList {
    /// A new list.
    pub(crate) fn value(items: Vec<Value>) -> Value {
        Value::from_object(Self(Mutex::new(items)))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its elements at this moment.
    pub(crate) fn snapshot(&self) -> Vec<Value> {
        self.lock().clone()
    }

    fn index(&self, index: i128) -> Option<usize> {
        let length = self.lock().len();
        let index = if index < 0 { index + length as i128 } else { index };
        usize::try_from(index).ok().filter(|index| *index < length)
    }

    fn position(&self, wanted: &Value) -> Result<usize, Error> {
        let items = self.snapshot();
        items.iter().position(|item| item == wanted).ok_or_else(|| invalid("the value is not in the list"))
    }

    fn pop(&self, index: Option<i64>) -> Result<Value, Error> {
        let index = self
            .index(index.unwrap_or(-1).into())
            .ok_or_else(|| invalid("pop from an empty list or beyond its end"))?;
        Ok(self.lock().remove(index))
    }

    fn insert(&self, index: i64, item: Value) {
        let mut items = self.lock();
        let length = items.len() as i64;
        let at = if index < 0 { (index + length).max(0) } else { index.min(length) };
        items.insert(usize::try_from(at).unwrap_or_default(), item);
    }

    fn sort(&self, state: &mut State<'_, '_>, kwargs: &Kwargs) -> Result<(), Error> {
        let key: Option<Value> = kwargs.get("key")?;
        let is_reverse: Option<bool> = kwargs.get("reverse")?;
        let mut keyed = Vec::new();
        for item in self.snapshot() {
            let by = match &key {
                Some(key) => key.call(state, std::slice::from_ref(&item))?,
                None => item.clone(),
            };
            keyed.push((by, item));
        }
        keyed.sort_by(|a, b| a.0.cmp(&b.0));
        if is_reverse == Some(true) {
            keyed.reverse();
        }
        *self.lock() = keyed.into_iter().map(|(_, item)| item).collect();
        Ok(())
    }
}

impl Object for PyList {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let index = self.index(integer(key)?)?;
        self.lock().get(index).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.snapshot())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.lock().len())
    }

    fn call_method(self: &Arc<Self>, state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let none = Value::from(());
        Ok(match method {
            "append" => {
                let (item,): (Value,) = from_args(args)?;
                self.lock().push(item);
                none
            }
            "extend" => {
                let (more,): (Value,) = from_args(args)?;
                let more = items(&more);
                check_items(self.lock().len() + more.len())?;
                self.lock().extend(more);
                none
            }
            "insert" => {
                let (index, item): (i64, Value) = from_args(args)?;
                self.insert(index, item);
                none
            }
            "pop" => {
                let (index,): (Option<i64>,) = from_args(args)?;
                self.pop(index)?
            }
            "remove" => {
                let (item,): (Value,) = from_args(args)?;
                let position = self.position(&item)?;
                self.lock().remove(position);
                none
            }
            "clear" => {
                self.lock().clear();
                none
            }
            "reverse" => {
                self.lock().reverse();
                none
            }
            "sort" => {
                let (kwargs,): (Kwargs,) = from_args(args)?;
                self.sort(state, &kwargs)?;
                none
            }
            "copy" => Self::value(self.snapshot()),
            "index" => {
                let (item,): (Value,) = from_args(args)?;
                Value::from(self.position(&item)?)
            }
            "count" => {
                let (wanted,): (Value,) = from_args(args)?;
                Value::from(self.snapshot().iter().filter(|item| **item == wanted).count())
            }
            _ => return Err(Error::new(ErrorKind::UnknownMethod, format!("a list has no method `{method}`"))),
        })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&python_repr(&Value::from_dyn_object(self.clone())))
    }
}
