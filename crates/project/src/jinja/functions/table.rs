//! agate's table, the shape of a query's result.

use std::{fmt, sync::Arc};

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Enumerator, Object, ObjectRepr, from_args},
};

use crate::{
    Cell, Column, QueryResult,
    jinja::values::{PyDict, PyList, integer, tuple},
};

/// A query's result.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Arc<Vec<Column>>,
    rows: Vec<Arc<Vec<Value>>>,
}

/// One row: by position or name.
#[derive(Debug)]
struct Row {
    columns: Arc<Vec<Column>>,
    cells: Arc<Vec<Value>>,
}

/// One column: its name and values.
#[derive(Debug)]
struct TableColumn {
    index: usize,
    name: String,
    data_type: String,
    values: Vec<Value>,
}

fn cell(cell: Cell) -> Value {
    match cell {
        Cell::Null => Value::from(()),
        Cell::Bool(value) => Value::from(value),
        Cell::Int(value) => Value::from(value),
        Cell::Float(value) => Value::from(value),
        Cell::Text(value) => Value::from(value),
    }
}

/// The position a key means: an index, the name, or the name in another case.
fn position(columns: &[Column], key: &Value) -> Option<usize> {
    if let Some(index) = integer(key) {
        let index = if index < 0 { index + columns.len() as i128 } else { index };
        return usize::try_from(index).ok().filter(|index| *index < columns.len());
    }
    let name = key.as_str()?;
    let exact = columns.iter().position(|column| column.name == name);
    exact.or_else(|| columns.iter().position(|column| column.name.eq_ignore_ascii_case(name)))
}

impl Table {
    pub(crate) fn value(result: QueryResult) -> Value {
        let rows = result.rows.into_iter().map(|row| Arc::new(row.into_iter().map(cell).collect())).collect();
        Value::from_object(Self { columns: Arc::new(result.columns), rows })
    }

    /// All rows as lists.
    pub(crate) fn data(&self) -> Value {
        PyList::value(self.rows.iter().map(|row| PyList::value(row.to_vec())).collect())
    }

    fn row(&self, cells: &Arc<Vec<Value>>) -> Value {
        Value::from_object(Row { columns: self.columns.clone(), cells: cells.clone() })
    }

    fn column(&self, index: usize) -> Option<Value> {
        let column = self.columns.get(index)?;
        Some(Value::from_object(TableColumn {
            index,
            name: column.name.clone(),
            data_type: column.data_type.clone(),
            values: self.rows.iter().filter_map(|row| row.get(index).cloned()).collect(),
        }))
    }

    fn names(&self) -> Vec<Value> {
        self.columns.iter().map(|column| Value::from(column.name.as_str())).collect()
    }
}

impl Object for Table {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "columns" => Value::from_object(Columns(self.clone())),
            "column_names" => tuple(self.names()),
            "column_types" => tuple(self.columns.iter().map(|column| Value::from(column.data_type.as_str())).collect()),
            "rows" => PyList::value(self.rows.iter().map(|row| self.row(row)).collect()),
            _ => return None,
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.rows.iter().map(|row| self.row(row)).collect())
    }

    /// agate's tables have no truth of their own, so an empty one is true; `{% if results %}` only asks whether it ran.
    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn call_method(self: &Arc<Self>, _state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "print_table" | "print_csv" | "print_json" => Ok(Value::from("")),
            "select" | "exclude" => {
                let (names,): (Value,) = from_args(args)?;
                let wanted = if names.as_str().is_some() { vec![names] } else { crate::jinja::values::items(&names) };
                let positions: Vec<usize> = wanted.iter().filter_map(|name| position(&self.columns, name)).collect();
                let keep: Vec<usize> = match method {
                    "select" => positions,
                    _ => (0..self.columns.len()).filter(|index| !positions.contains(index)).collect(),
                };
                let columns = keep.iter().filter_map(|index| self.columns.get(*index).cloned()).collect();
                let rows = self
                    .rows
                    .iter()
                    .map(|row| Arc::new(keep.iter().filter_map(|index| row.get(*index).cloned()).collect()))
                    .collect();
                Ok(Value::from_object(Self { columns: Arc::new(columns), rows }))
            }
            "limit" => {
                let (count,): (usize,) = from_args(args)?;
                Ok(Value::from_object(Self {
                    columns: self.columns.clone(),
                    rows: self.rows.iter().take(count).cloned().collect(),
                }))
            }
            "rename" => Ok(Value::from_dyn_object(self.clone())),
            _ => Err(Error::new(ErrorKind::UnknownMethod, format!("a table has no method `{method}`"))),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<table of {} rows>", self.rows.len())
    }
}

/// `table.columns`: by position or name, iterable.
#[derive(Debug)]
struct Columns(Arc<Table>);

impl Object for Columns {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.column(position(&self.0.columns, key)?)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values((0..self.0.columns.len()).filter_map(|index| self.0.column(index)).collect())
    }

    fn call_method(self: &Arc<Self>, _state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "keys" => Ok(tuple(self.0.names())),
            "values" => Ok(Value::from_dyn_object(self.clone())),
            "get" => {
                let (key, default): (Value, Option<Value>) = from_args(args)?;
                let found = position(&self.0.columns, &key).and_then(|index| self.0.column(index));
                Ok(found.or(default).unwrap_or(Value::from(())))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

impl Object for TableColumn {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str() {
            Some("name") => Some(Value::from(self.name.as_str())),
            Some("index") => Some(Value::from(self.index)),
            Some("data_type") => Some(Value::from(self.data_type.as_str())),
            Some(_) => None,
            None => self.values.get(key.as_usize()?).cloned(),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.values.clone())
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        _args: &[Value],
    ) -> Result<Value, Error> {
        let distinct = || {
            let mut seen: Vec<Value> = Vec::new();
            self.values.iter().for_each(|value| {
                if !seen.contains(value) {
                    seen.push(value.clone())
                }
            });
            seen
        };
        match method {
            "values" => Ok(tuple(self.values.clone())),
            "values_distinct" => Ok(PyList::value(distinct())),
            "values_without_nulls" => Ok(tuple(self.values.iter().filter(|value| !value.is_none()).cloned().collect())),
            "values_sorted" => {
                let mut sorted = self.values.clone();
                sorted.sort();
                Ok(PyList::value(sorted))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

impl Object for Row {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.cells.get(position(&self.columns, key)?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.cells.to_vec())
    }

    fn call_method(self: &Arc<Self>, _state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let names = || self.columns.iter().map(|column| Value::from(column.name.as_str()));
        match method {
            "keys" => Ok(tuple(names().collect())),
            "values" => Ok(tuple(self.cells.to_vec())),
            "items" => Ok(PyList::value(
                names().zip(self.cells.iter()).map(|(name, cell)| tuple(vec![name, cell.clone()])).collect(),
            )),
            "dict" => Ok(PyDict::value(names().zip(self.cells.iter().cloned()))),
            "get" => {
                let (key, default): (Value, Option<Value>) = from_args(args)?;
                let found = position(&self.columns, &key).and_then(|index| self.cells.get(index).cloned());
                Ok(found.or(default).unwrap_or(Value::from(())))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}
