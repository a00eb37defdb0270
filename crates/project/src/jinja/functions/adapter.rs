//! `adapter`: dispatch, quoting, and what the warehouse holds.

use std::{collections::HashSet, fmt, sync::Arc};

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Kwargs, Object, ObjectRepr, from_args},
};
use serde_json::Value as Json;

use super::{
    add_function,
    column::ColumnValue,
    relation::{RelationValue, quote},
    statement,
    table::Table,
};
use crate::{
    Adapter, AdapterError, Column, Relation,
    jinja::{
        error::fault,
        macros::MacroRef,
        session::{Globals, Session, session},
        values::{PyList, integer, invalid, python_str, tuple},
    },
};

pub(super) fn add(globals: &mut Globals) {
    globals.insert("adapter", Value::from_object(AdapterValue));
    // dbt has these beside `adapter` as well.
    for name in ["load_relation", "get_columns_in_relation"] {
        add_function(globals, name, move |state, args| {
            let method = if name == "load_relation" { "load_relation" } else { "get_columns_in_relation" };
            call(&*session(state)?, state, method, args)
        });
    }
}

/// The `adapter` object.
#[derive(Debug)]
struct AdapterValue;

fn failed(failure: AdapterError) -> Error {
    fault("WL-J009", failure.message, None)
}

fn relation(value: &Value) -> Result<Relation, Error> {
    RelationValue::of(value).ok_or_else(|| {
        fault(
            "WL-J004",
            format!("a relation is needed here, this is {}", value.kind()),
            Some("pass `ref(...)`, `source(...)` or `api.Relation.create(...)`".to_owned()),
        )
    })
}

fn schema_of(relation: &Relation, session: &Session) -> String {
    let of_target = || session.scope.target.get("schema").and_then(Json::as_str).unwrap_or_default().to_owned();
    relation.schema.clone().unwrap_or_else(of_target)
}

fn find(adapter: &dyn Adapter, schema: &str, identifier: &str) -> Result<Value, Error> {
    Ok(adapter.relation(schema, identifier).map_err(failed)?.map_or(Value::from(()), RelationValue::value))
}

fn columns(session: &Session, value: &Value) -> Result<Vec<Column>, Error> {
    let Some(adapter) = session.warehouse() else { return Ok(Vec::new()) };
    adapter.columns(&relation(value)?).map_err(failed)
}

fn column_values(columns: Vec<Column>) -> Value {
    PyList::value(columns.into_iter().map(ColumnValue::value).collect())
}

impl Object for AdapterValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call_method(self: &Arc<Self>, state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let session = session(state)?;
        call(&session, state, method, args)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<adapter wardlake>")
    }
}

fn call(session: &Session, state: &State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
    let none = Value::from(());
    Ok(match method {
        "type" => Value::from("wardlake"),
        "dispatch" => dispatch(session, args)?,
        "quote" => Value::from(quote(&python_str(&from_args::<(Value,)>(args)?.0))),
        "quote_as_configured" => {
            let (name, _): (Value, Option<Value>) = from_args(args)?;
            Value::from(quote(&python_str(&name)))
        }
        "quote_seed_column" => {
            let (name, _): (Value, Option<Value>) = from_args(args)?;
            Value::from(quote(&python_str(&name)))
        }
        "get_relation" | "load_relation" => get_relation(session, args)?,
        "get_columns_in_relation" => column_values(columns(session, &from_args::<(Value,)>(args)?.0)?),
        "get_missing_columns" => {
            let (from, to): (Value, Value) = from_args(args)?;
            let known: HashSet<String> = columns(session, &to)?.into_iter().map(|column| column.name).collect();
            column_values(columns(session, &from)?.into_iter().filter(|column| !known.contains(&column.name)).collect())
        }
        "get_column_schema_from_query" => {
            let (sql,): (Value,) = from_args(args)?;
            let wrapped =
                format!("select * from ({}\n) as wl_columns limit 0", python_str(&sql).trim().trim_end_matches(';'));
            column_values(statement::query(state, &wrapped)?.map(|result| result.columns).unwrap_or_default())
        }
        "list_relations_without_caching" | "list_relations" => list_relations(session, args)?,
        "check_schema_exists" => {
            let schema = args.iter().rfind(|arg| !arg.is_kwargs()).map(python_str).unwrap_or_default();
            let relations =
                session.warehouse().map(|adapter| adapter.relations(&schema)).transpose().map_err(failed)?;
            Value::from(relations.is_some_and(|relations| !relations.is_empty()))
        }
        "drop_relation" => {
            let (value,): (Value,) = from_args(args)?;
            if let (Some(adapter), false) = (session.warehouse(), value.is_none()) {
                adapter.drop_relation(&relation(&value)?).map_err(failed)?;
            }
            none
        }
        "rename_relation" => {
            let (from, to): (Value, Value) = from_args(args)?;
            if session.warehouse().is_some() {
                let (from, to) = (relation(&from)?, relation(&to)?);
                let [from, to] = [from, to].map(|relation| RelationValue::value(relation).to_string());
                statement::query(state, &format!("alter table {from} rename to {to}"))?;
            }
            none
        }
        "execute" => {
            let (sql, kwargs): (Value, Kwargs) = from_args(args)?;
            let _ = (kwargs.get::<Option<bool>>("fetch")?, kwargs.get::<Option<bool>>("auto_begin")?);
            let result = statement::query(state, &python_str(&sql))?.unwrap_or_default();
            tuple(vec![Value::from(format!("OK {}", result.rows.len())), Table::value(result)])
        }
        // The lake has neither lengths to expand, nor schemas, caches, grants or transactions to keep.
        "expand_target_column_types"
        | "create_schema"
        | "drop_schema"
        | "truncate_relation"
        | "cache_added"
        | "cache_dropped"
        | "cache_renamed"
        | "commit"
        | "add_query"
        | "valid_snapshot_target"
        | "assert_valid_snapshot_target_given_strategy" => none,
        "is_replaceable" => Value::from(true),
        "standardize_grants_dict" => from_args::<(Value,)>(args)?.0,
        _ => return Err(Error::new(ErrorKind::UnknownMethod, format!("`adapter` has no method `{method}`"))),
    })
}

fn dispatch(session: &Session, args: &[Value]) -> Result<Value, Error> {
    let (name, namespace, kwargs): (Option<String>, Option<Value>, Kwargs) = from_args(args)?;
    let name = match name {
        Some(name) => name,
        None => kwargs.get::<String>("macro_name")?,
    };
    let namespace = match namespace {
        Some(namespace) => Some(namespace),
        None => kwargs.get::<Option<Value>>("macro_namespace")?,
    };
    if name.contains('.') {
        let help = "write adapter.dispatch('name', 'package')".to_owned();
        return Err(fault(
            "WL-J012",
            format!("`adapter.dispatch` takes a macro's name without its package, not `{name}`"),
            Some(help),
        ));
    }
    let namespace = namespace.filter(|namespace| !namespace.is_none() && !namespace.is_undefined());
    // Older packages hand over a list of packages; the first is their own.
    let namespace = namespace.map(|value| {
        if value.as_str().is_some() {
            python_str(&value)
        } else {
            value.get_item_by_index(0).map(|first| python_str(&first)).unwrap_or_default()
        }
    });
    match session.registry.dispatch(&session.package, &name, namespace.as_deref()) {
        Ok(index) => MacroRef::value(&session.registry, index).ok_or_else(|| invalid("the macro is gone")),
        Err(tried) => {
            let help = format!("searched for: {}", tried.join(", "));
            Err(fault("WL-J012", format!("`adapter.dispatch` found no macro for `{name}`"), Some(help)))
        }
    }
}

fn get_relation(session: &Session, args: &[Value]) -> Result<Value, Error> {
    let Some(adapter) = session.warehouse() else { return Ok(Value::from(())) };
    if let [single] = args
        && !single.is_kwargs()
    {
        let wanted = relation(single)?;
        return find(adapter.as_ref(), &schema_of(&wanted, session), &wanted.identifier);
    }
    let (_, schema, identifier, kwargs): (Option<Value>, Option<Value>, Option<Value>, Kwargs) = from_args(args)?;
    let part = |given: Option<Value>, name: &str| match given {
        Some(given) => Ok(python_str(&given)),
        None => {
            kwargs.get::<Option<Value>>(name).map(|value| value.map(|value| python_str(&value)).unwrap_or_default())
        }
    };
    find(adapter.as_ref(), &part(schema, "schema")?, &part(identifier, "identifier")?)
}

fn list_relations(session: &Session, args: &[Value]) -> Result<Value, Error> {
    let Some(adapter) = session.warehouse() else { return Ok(PyList::value(Vec::new())) };
    let given = args.iter().rfind(|arg| !arg.is_kwargs() && integer(arg).is_none());
    let named = args.last().filter(|last| last.is_kwargs()).and_then(|kwargs| kwargs.get_attr("schema").ok());
    let schema = match (given, named) {
        (Some(given), _) => {
            RelationValue::of(given).map_or_else(|| python_str(given), |relation| schema_of(&relation, session))
        }
        (None, Some(named)) => python_str(&named),
        (None, None) => String::new(),
    };
    let relations = adapter.relations(&schema).map_err(failed)?;
    Ok(PyList::value(relations.into_iter().map(RelationValue::value).collect()))
}
