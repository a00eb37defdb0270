//! `exceptions`: errors and warnings a project raises itself.

use minijinja::{Error, State, Value, value::from_args};

use super::native::{Namespace, entry};
use crate::jinja::{
    error::fault,
    session::{Globals, session},
    values::{items, python_str},
};

/// dbt's further `raise_*` functions, all of which end the template with their first argument.
const RAISES: [&str; 16] = [
    "raise_compiler_error",
    "raise_fail_fast_error",
    "raise_dependency_error",
    "raise_database_error",
    "raise_parsing_error",
    "raise_dataclass_not_dict",
    "raise_duplicate_resource_name",
    "raise_invalid_property_yml_version",
    "missing_config",
    "missing_materialization",
    "missing_relation",
    "relation_wrong_type",
    "raise_contract_error",
    "column_type_missing",
    "raise_ambiguous_alias",
    "raise_ambiguous_catalog_match",
];

pub(super) fn add(globals: &mut Globals) {
    let mut entries: Vec<(&'static str, Value)> =
        RAISES.into_iter().map(|name| entry(name, move |_, args| raise(name, args))).collect();
    entries.push(entry("raise_not_implemented", |_, args| raise("raise_not_implemented", args)));
    entries.push(entry("warn", warn));
    entries.push(entry("warn_snapshot_timestamp_data_types", |_, _| Ok(Value::from(""))));
    globals.insert("exceptions", Namespace::value("exceptions", entries));
    super::add_function(globals, "warn", warn);
}

fn raise(name: &str, args: &[Value]) -> Result<Value, Error> {
    let parts: Vec<String> = args.iter().filter(|arg| !arg.is_kwargs()).map(python_str).collect();
    let message = match (name, parts.as_slice()) {
        (_, []) => name.trim_start_matches("raise_").replace('_', " "),
        ("missing_config" | "missing_materialization" | "missing_relation" | "relation_wrong_type", parts) => {
            format!("{}: {}", name.replace('_', " "), parts.join(", "))
        }
        (_, [first, ..]) => first.trim().to_owned(),
    };
    Err(fault("WL-J008", message, None))
}

fn warn(state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
    let (message,): (Value,) = from_args(args)?;
    let text = if message.is_tuple() { items(&message).iter().map(python_str).collect() } else { python_str(&message) };
    (session(state)?.scope.log)(&format!("warning: {}", text.trim()));
    Ok(Value::from(""))
}
