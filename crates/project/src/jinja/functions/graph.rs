//! `ref`, `source` and `changes`.

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Kwargs, Rest, from_args},
};

use super::{add_function, relation::RelationValue};
use crate::{
    Relation,
    jinja::{
        CHANGES_SCHEMA, Changes, Lookup, MATCHING_SCHEMA, Mode, RefCall, SourceCall,
        error::fault,
        session::{Globals, Session, session},
        values::python_str,
    },
};

pub(super) fn add(globals: &mut Globals) {
    add_function(globals, "ref", reference);
    add_function(globals, "source", source);
    add_function(globals, "changes", changes);
    add_function(globals, "matching", matching);
}

fn texts(function: &str, parts: &[Value]) -> Result<Vec<String>, Error> {
    let texts: Option<Vec<String>> = parts.iter().map(|part| part.as_str().map(str::to_owned)).collect();
    texts.ok_or_else(|| {
        let kinds: Vec<String> = parts.iter().map(|part| part.kind().to_string()).collect();
        fault("WL-J004", format!("`{function}` takes texts, it was given ({})", kinds.join(", ")), None)
    })
}

fn line(kwargs: &Kwargs, session: &Session) -> Result<usize, Error> {
    Ok(kwargs.get::<Option<usize>>("__line")?.unwrap_or(session.first_line))
}

fn reference(state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
    let session = session(state)?;
    let (Rest(parts), kwargs): (Rest<Value>, Kwargs) = from_args(args)?;
    let line = line(&kwargs, &session)?;
    let version = match kwargs.get::<Option<Value>>("v")? {
        Some(version) => Some(version),
        None => kwargs.get::<Option<Value>>("version")?,
    };
    kwargs.assert_all_used()?;
    let (package, name) = match <[String; 2]>::try_from(texts("ref", &parts)?) {
        Ok([package, name]) => (Some(package), name),
        Err(mut single) if single.len() == 1 => (None, single.remove(0)),
        Err(_) => {
            return Err(fault(
                "WL-J004",
                format!("`ref` takes a model, or a package and a model; it was given {} arguments", parts.len()),
                None,
            ));
        }
    };
    let version = version.filter(|version| !version.is_none()).map(|version| python_str(&version));
    let call = RefCall { package, name, version, line };
    session.progress().captured.refs.push(call.clone());
    let relation = match (session.mode, &session.resolve) {
        (Mode::Execute, Some(resolve)) => {
            resolve.resolve_ref(&call).map_err(|message| fault("WL-J005", message, None))?
        }
        _ => placeholder(&session, &call.name),
    };
    Ok(RelationValue::value(relation))
}

fn source(state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
    let session = session(state)?;
    let (Rest(parts), kwargs): (Rest<Value>, Kwargs) = from_args(args)?;
    let line = line(&kwargs, &session)?;
    kwargs.assert_all_used()?;
    let Ok([source, table]) = <[String; 2]>::try_from(texts("source", &parts)?) else {
        return Err(Error::new(ErrorKind::MissingArgument, "`source` takes a source and one of its tables"));
    };
    let call = SourceCall { source, table, line };
    session.progress().captured.sources.push(call.clone());
    let (relation, time_zone) = match (session.mode, &session.resolve) {
        (Mode::Execute, Some(resolve)) => {
            let relation = resolve.resolve_source(&call).map_err(|message| fault("WL-J005", message, None))?;
            (relation, resolve.time_zone(&call))
        }
        _ => (placeholder(&session, &call.table), None),
    };
    Ok(RelationValue::of_source(relation, time_zone))
}

/// `changes(relation)`: the rows an incremental model has not consumed yet. For every other model, and in the first pass, it
/// is the relation itself, as in the plain macro that projects ship for dbt.
fn changes(state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
    let session = session(state)?;
    let (relation,): (Value,) = from_args(args)?;
    let of = table("changes", &relation)?;
    let Some(this) = incremental_target(&session) else { return Ok(relation) };
    let read_as = stand_in(CHANGES_SCHEMA, format!("{} of {}", dotted(&of), dotted(&this)), &of);
    let asked = Changes { of, read_as: read_as.clone() };
    let mut progress = session.progress();
    if !progress.captured.changes.contains(&asked) {
        progress.captured.changes.push(asked);
    }
    Ok(RelationValue::in_place_of(&relation, read_as))
}

/// `matching(relation, columns, keys)`: of a relation at least the rows whose columns are a row of the query `keys`; the model joins
/// them with the keys. Where `changes` is the relation itself, so is this.
fn matching(state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
    let session = session(state)?;
    let (relation, columns, keys): (Value, Vec<String>, String) = from_args(args)?;
    let of = table("matching", &relation)?;
    let Some(this) = incremental_target(&session) else { return Ok(relation) };
    let name = format!("{} by {} of {}", dotted(&of), columns.join(", "), dotted(&this));
    let mut progress = session.progress();
    let lookups = &mut progress.captured.lookups;
    let same = |asked: &&Lookup| asked.of == of && asked.columns == columns && asked.keys == keys;
    if let Some(asked) = lookups.iter().find(same) {
        return Ok(RelationValue::in_place_of(&relation, asked.read_as.clone()));
    }
    let read_as = stand_in(MATCHING_SCHEMA, format!("{name} {}", lookups.len() + 1), &of);
    lookups.push(Lookup { of, columns, keys, read_as: read_as.clone() });
    Ok(RelationValue::in_place_of(&relation, read_as))
}

/// The relation a function takes, which has rows of its own.
fn table(function: &str, relation: &Value) -> Result<Relation, Error> {
    let Some(of) = RelationValue::of(relation) else {
        let text = format!("`{function}` takes a relation: {function}(ref('…')) or {function}(source('…', '…'))");
        return Err(fault("WL-J004", text, None));
    };
    match of.schema {
        Some(_) => Ok(of),
        None => {
            let text =
                format!("`{}` is ephemeral and has no rows of its own; `{function}` needs a table", of.identifier);
            Err(fault("WL-J004", text, None))
        }
    }
}

/// The table of the incremental model that is about to run.
fn incremental_target(session: &Session) -> Option<Relation> {
    let is_incremental = session.config("materialized").is_some_and(|how| how == "incremental");
    let this = session.node.as_ref().and_then(|node| node.this.clone());
    this.filter(|_| session.is_executing() && is_incremental)
}

fn dotted(relation: &Relation) -> String {
    format!("{}.{}", relation.schema.as_deref().unwrap_or_default(), relation.identifier)
}

/// What the compiled SQL reads in place of a relation.
fn stand_in(schema: &str, identifier: String, of: &Relation) -> Relation {
    Relation { schema: Some(schema.to_owned()), identifier, ..of.clone() }
}

/// What a reference prints as long as nothing is resolved.
fn placeholder(session: &Session, identifier: &str) -> Relation {
    let schema = session.scope.target.get("schema").and_then(serde_json::Value::as_str).map(str::to_owned);
    Relation { database: None, schema, identifier: identifier.to_owned(), kind: None }
}
