//! `tojson`, `fromjson`, `toyaml`, `fromyaml`.

use minijinja::{
    Error, Value,
    value::{Kwargs, from_args},
};
use saphyr::{LoadableYamlNode, ScalarOwned, YamlOwned};
use serde_json::{Map, Value as Json};

use super::add_function;
use crate::jinja::{
    session::Globals,
    values::{bounded, from_json, python_str, to_json},
};

pub(super) fn add(globals: &mut Globals) {
    add_function(globals, "tojson", |_, args| write(args, json_text));
    add_function(globals, "toyaml", |_, args| write(args, yaml_text));
    add_function(globals, "fromjson", |_, args| read(args, |text| serde_json::from_str(text).ok()));
    add_function(globals, "fromyaml", |_, args| read(args, parse_yaml));
}

fn write(args: &[Value], render: fn(&Json, bool) -> String) -> Result<Value, Error> {
    let (value, _, kwargs): (Value, Option<Value>, Kwargs) = from_args(args)?;
    let is_sorted = kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    let _: Option<Value> = kwargs.get("default")?;
    bounded(render(&to_json(&value), is_sorted))
}

/// Unreadable text gives the default, as in dbt.
fn read(args: &[Value], parse: impl Fn(&str) -> Option<Json>) -> Result<Value, Error> {
    let (text, default): (Value, Option<Value>) = from_args(args)?;
    Ok(parse(&python_str(&text)).map_or_else(|| default.unwrap_or(Value::from(())), |json| from_json(&json)))
}

fn entries(map: &Map<String, Json>, is_sorted: bool) -> Vec<(&String, &Json)> {
    let mut entries: Vec<_> = map.iter().collect();
    if is_sorted {
        entries.sort_by_key(|entry| entry.0);
    }
    entries
}

/// JSON as Python's `json.dumps` writes it.
pub(super) fn json_text(json: &Json, is_sorted: bool) -> String {
    match json {
        Json::Array(list) => {
            format!("[{}]", list.iter().map(|item| json_text(item, is_sorted)).collect::<Vec<_>>().join(", "))
        }
        Json::Object(map) => {
            let entry = |(key, value): (&String, &Json)| {
                format!("{}: {}", Json::from(key.as_str()), json_text(value, is_sorted))
            };
            format!("{{{}}}", entries(map, is_sorted).into_iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}

fn yaml_text(json: &Json, is_sorted: bool) -> String {
    let mut out = String::new();
    write_yaml(&mut out, json, 0, is_sorted);
    out
}

fn write_yaml(out: &mut String, json: &Json, indent: usize, is_sorted: bool) {
    let pad = " ".repeat(indent);
    match json {
        Json::Array(list) if !list.is_empty() => {
            for item in list {
                out.push_str(&format!("{pad}-"));
                write_yaml_child(out, item, indent, is_sorted);
            }
        }
        Json::Object(map) if !map.is_empty() => {
            for (key, value) in entries(map, is_sorted) {
                out.push_str(&format!("{pad}{}:", yaml_scalar(&Json::from(key.as_str()))));
                write_yaml_child(out, value, indent, is_sorted);
            }
        }
        scalar => out.push_str(&format!("{pad}{}\n", yaml_scalar(scalar))),
    }
}

fn write_yaml_child(out: &mut String, json: &Json, indent: usize, is_sorted: bool) {
    let is_block = match json {
        Json::Array(list) => !list.is_empty(),
        Json::Object(map) => !map.is_empty(),
        _ => false,
    };
    if is_block {
        out.push('\n');
        write_yaml(out, json, indent + 2, is_sorted);
    } else {
        out.push_str(&format!(" {}\n", yaml_scalar(json)));
    }
}

/// A scalar; text stays plain only where YAML reads it back as the same text.
fn yaml_scalar(json: &Json) -> String {
    match json {
        Json::String(text) => {
            let is_plain = !text.is_empty()
                && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '/'))
                && !text.starts_with([' ', '-', '.'])
                && !text.ends_with(' ')
                && parse_yaml(text) == Some(Json::String(text.clone()));
            if is_plain { text.clone() } else { json.to_string() }
        }
        other => other.to_string(),
    }
}

/// The first document of a YAML text.
pub(super) fn parse_yaml(text: &str) -> Option<Json> {
    if crate::yaml::too_deep(text).is_some() {
        return None;
    }
    let documents = YamlOwned::load_from_str(text).ok()?;
    Some(documents.first().map_or(Json::Null, yaml_to_json))
}

fn yaml_to_json(yaml: &YamlOwned) -> Json {
    match yaml {
        YamlOwned::Value(ScalarOwned::Null) | YamlOwned::Alias(_) | YamlOwned::BadValue => Json::Null,
        YamlOwned::Value(ScalarOwned::Boolean(value)) => Json::from(*value),
        YamlOwned::Value(ScalarOwned::Integer(value)) => Json::from(*value),
        YamlOwned::Value(ScalarOwned::FloatingPoint(value)) => Json::from(value.into_inner()),
        YamlOwned::Value(ScalarOwned::String(text)) | YamlOwned::Representation(text, ..) => Json::from(text.as_str()),
        YamlOwned::Sequence(list) => Json::Array(list.iter().map(yaml_to_json).collect()),
        YamlOwned::Mapping(map) => {
            Json::Object(map.iter().map(|(key, value)| (yaml_key(key), yaml_to_json(value))).collect())
        }
        YamlOwned::Tagged(_, inner) => yaml_to_json(inner),
    }
}

fn yaml_key(key: &YamlOwned) -> String {
    match yaml_to_json(key) {
        Json::String(text) => text,
        other => other.to_string(),
    }
}
