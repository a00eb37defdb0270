//! `statement` blocks, `load_result` and `run_query`.

use minijinja::{
    Error, State, Value,
    value::{Kwargs, from_args},
};

use super::{add_function, table::Table};
use crate::{
    QueryResult,
    jinja::{
        error::fault,
        session::{Globals, session},
        values::{PyDict, PyList, python_str},
    },
};

pub(super) fn add(globals: &mut Globals) {
    add_function(globals, "statement", statement);
    add_function(globals, "run_query", |state, args| {
        let (sql,): (Value,) = from_args(args)?;
        Ok(query(state, &python_str(&sql))?.map_or(Value::from(()), Table::value))
    });
    add_function(globals, "load_result", |state, args| {
        let (name,): (String,) = from_args(args)?;
        Ok(session(state)?.progress().statements.get(&name).cloned().unwrap_or(Value::from(())))
    });
    add_function(globals, "store_result", |state, args| {
        let (name, kwargs): (String, Kwargs) = from_args(args)?;
        let response = kwargs.get::<Option<Value>>("response")?.unwrap_or(Value::from(""));
        let table = kwargs.get::<Option<Value>>("agate_table")?.unwrap_or(Value::from(()));
        remember(state, &name, response, table)?;
        Ok(Value::from(""))
    });
}

/// Runs one statement; nothing in the first pass.
pub(super) fn query(state: &State<'_, '_>, sql: &str) -> Result<Option<QueryResult>, Error> {
    let session = session(state)?;
    let Some(adapter) = session.warehouse() else { return Ok(None) };
    adapter.query(sql).map(Some).map_err(|failure| {
        fault("WL-J009", failure.message, Some("the query was sent by this template while it was compiled".to_owned()))
    })
}

fn remember(state: &State<'_, '_>, name: &str, response: Value, table: Value) -> Result<(), Error> {
    let data = table.downcast_object_ref::<Table>().map_or_else(|| PyList::value(Vec::new()), Table::data);
    let result = PyDict::value([
        (Value::from("response"), response),
        (Value::from("data"), data),
        (Value::from("table"), table),
    ]);
    session(state)?.progress().statements.insert(name.to_owned(), result);
    Ok(())
}

/// `{% call statement(name, fetch_result=False, …) %}sql{% endcall %}`.
fn statement(state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
    let (name, fetch_result, kwargs): (Option<Value>, Option<bool>, Kwargs) = from_args(args)?;
    let name = match name {
        Some(name) => Some(name),
        None => kwargs.get::<Option<Value>>("name")?,
    };
    let fetches = fetch_result.or(kwargs.get::<Option<bool>>("fetch_result")?).unwrap_or(false);
    let caller: Option<Value> = kwargs.get("caller")?;
    let sql = match caller {
        Some(caller) => python_str(&caller.call(state, &[])?),
        None => String::new(),
    };
    if sql.trim().is_empty() {
        return Ok(Value::from(""));
    }
    if let Some(result) = query(state, &sql)?
        && let Some(name) = name.filter(|name| !name.is_none())
    {
        let response =
            result.rows_affected.map_or_else(|| format!("SELECT {}", result.rows.len()), |rows| format!("OK {rows}"));
        let table = if fetches { Table::value(result) } else { Table::value(QueryResult::default()) };
        remember(state, &python_str(&name), Value::from(response), table)?;
    }
    Ok(Value::from(""))
}
