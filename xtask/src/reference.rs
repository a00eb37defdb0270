//! `docs/reference/`: every setting and every SQL function, written from what the program itself goes by: the JSON Schemas and the functions'
//! own documentation. A test compares the settings with the schemas, and one of the command line the functions with what the binary says.

use std::{fmt::Write, fs, path::PathBuf};

use serde_json::Value;

use crate::process::{TaskError, TaskResult, cargo, root, text};

/// Page, its title, the schema it is written from, and where the settings stand.
const SETTINGS: [(&str, &str, &str, &str); 2] = [
    (
        "sources.md",
        "Settings of a source table",
        "source-table.schema.json",
        "They stand under `config.meta.wardlake` of a source or of one of its tables.",
    ),
    (
        "expectations.md",
        "What a model says of its rows",
        "model.schema.json",
        "It stands under `config.meta.wardlake` of a model.",
    ),
];

/// Writes all pages.
pub(crate) fn write() -> TaskResult {
    let folder = root().join("docs/reference");
    fs::create_dir_all(&folder).map_err(|error| failed(folder.clone(), &error))?;
    for (page, title, schema, place) in SETTINGS {
        put(folder.join(page), &settings(title, schema, place)?)?;
    }
    let arguments = ["run", "--locked", "--quiet", "--package", "wardlake", "--", "reference", "functions"];
    put(folder.join("functions.md"), &text(cargo().args(arguments))?)
}

fn put(path: PathBuf, text: &str) -> TaskResult {
    fs::write(&path, text).map_err(|error| failed(path, &error))
}

fn failed(path: PathBuf, error: &std::io::Error) -> TaskError {
    TaskError::Found(format!("{}: {error}", path.display()))
}

/// A page of settings.
fn settings(title: &str, name: &str, place: &str) -> TaskResult<String> {
    let path = root().join("schemas").join(name);
    let text = fs::read_to_string(&path).map_err(|error| failed(path.clone(), &error))?;
    let schema: Value =
        serde_json::from_str(&text).map_err(|error| TaskError::Found(format!("{}: {error}", path.display())))?;
    let mut pages = Page { root: &schema, text: String::new() };
    pages.below("", &schema, &mut Vec::new());
    let about = schema["description"].as_str().unwrap_or_default();
    Ok(format!(
        "# {title}\n\n{about} {place}\n\nThis page is written by `cargo xtask reference` from `schemas/{name}`, which editors can check \
         settings with.\n\n| setting | values | meaning |\n|---|---|---|\n{}",
        pages.text
    ))
}

struct Page<'s> {
    root: &'s Value,
    text: String,
}

impl<'s> Page<'s> {
    /// Writes a line for each setting within `schema`, whose own is `path`. `within` are the definitions that this stands in: some hold
    /// themselves.
    fn below(&mut self, path: &str, schema: &'s Value, within: &mut Vec<&'s str>) {
        let name = schema["$ref"].as_str();
        if name.is_some_and(|name| within.contains(&name)) {
            return;
        }
        within.extend(name);
        let schema = self.resolved(schema);
        let beside = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let required = |name: &str| is_listed(&schema["required"], name);
        for (name, setting) in schema["properties"].as_object().into_iter().flatten() {
            let path = beside(name);
            self.line(&path, setting, required(name));
            self.below(&path, setting, within);
        }
        for one in schema["anyOf"].as_array().into_iter().flatten() {
            self.below(path, one, within);
        }
        if schema["items"].is_object() {
            self.below(&format!("{path}[]"), &schema["items"], within);
        }
        if schema["additionalProperties"].is_object() {
            self.below(&beside("<name>"), &schema["additionalProperties"], within);
        }
        if name.is_some() {
            within.pop();
        }
    }

    fn line(&mut self, path: &str, setting: &Value, is_required: bool) {
        let known = self.resolved(setting);
        let mut values = self.values(setting);
        if let Some(default) = setting.get("default").or_else(|| known.get("default")) {
            let _ = write!(values, ", by default {}", code(default));
        }
        if is_required {
            values.push_str("; required");
        }
        let about = setting["description"].as_str().or_else(|| known["description"].as_str()).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "| `{path}` | {} | {} |", cell(&values), cell(about));
    }

    /// What a setting may be, in words.
    fn values(&self, schema: &Value) -> String {
        let schema = self.resolved(schema);
        if let Some(value) = schema.get("const") {
            return code(value);
        }
        if let Some(values) = schema["enum"].as_array() {
            return values.iter().map(code).collect::<Vec<_>>().join(", ");
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let mut found: Vec<String> = types.into_iter().map(|one| self.of_type(one, schema)).collect();
        for one in schema["anyOf"].as_array().into_iter().flatten() {
            let values = self.values(one);
            if !values.is_empty() && !found.contains(&values) {
                found.push(values);
            }
        }
        found.join(" or ")
    }

    fn of_type(&self, name: &str, schema: &Value) -> String {
        match name {
            "string" => "text".to_owned(),
            "integer" => match (schema["minimum"].as_i64(), schema["maximum"].as_i64()) {
                (Some(least), Some(most)) => format!("whole number from {least} to {most}"),
                (Some(least), None) => format!("whole number from {least}"),
                _ => "whole number".to_owned(),
            },
            "boolean" => "`true` or `false`".to_owned(),
            "array" => match self.values(&schema["items"]) {
                items if items.is_empty() => "list".to_owned(),
                items => format!("list of {items}"),
            },
            "object" if schema["properties"].is_object() => "block".to_owned(),
            "object" => "mapping".to_owned(),
            other => other.to_owned(),
        }
    }

    /// The definition that a schema points to, or itself.
    fn resolved<'v>(&self, schema: &'v Value) -> &'v Value
    where
        's: 'v,
    {
        let name = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"));
        name.map_or(schema, |name| &self.root["$defs"][name])
    }
}

fn is_listed(names: &Value, name: &str) -> bool {
    names.as_array().is_some_and(|names| names.iter().any(|listed| listed == name))
}

fn code(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e13_the_pages_of_settings_are_those_of_the_schemas() {
        for (page, title, schema, place) in SETTINGS {
            let path = root().join("docs/reference").join(page);
            let written = fs::read_to_string(&path).unwrap_or_default();
            let wanted = settings(title, schema, place).unwrap_or_else(|error| error.to_string());
            assert!(written == wanted, "{page} is not what {schema} says; run `cargo xtask reference`");
        }
    }

    #[test]
    fn every_setting_has_a_line_with_its_values_default_and_meaning() {
        let schema = serde_json::json!({
            "$defs": {"place": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}},
            "properties": {
                "kind": {"enum": ["a", true], "default": "a", "description": "One | two."},
                "block": {"type": "object", "required": ["at"], "properties": {"at": {"$ref": "#/$defs/place"}}},
                "many": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}}
            }
        });
        let mut page = Page { root: &schema, text: String::new() };
        page.below("", &schema, &mut Vec::new());
        let wanted = "| `kind` | `a`, `true`, by default `a` | One \\| two. |\n\
                      | `block` | block |  |\n\
                      | `block.at` | text or list of text; required |  |\n\
                      | `many` | list of block |  |\n\
                      | `many[].n` | whole number from 1 |  |\n";
        assert_eq!(page.text, wanted);
    }
}
