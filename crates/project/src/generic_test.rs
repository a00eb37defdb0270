//! Generic tests as YAML asks for them: names, ids and the template that calls the test's macro.
//!
//! Names and ids are dbt's, letter for letter, so that run history and selectors carry over.

use std::fmt::Write as _;

use md5::{Digest, Md5};
use regex::Regex;
use serde_json::{Map, Value as Json};
use wardlake_core::hex;

use crate::{
    templates::has_jinja,
    yaml::{Mark, Yaml, YamlValue},
};

/// Keys of a test that configure it and are not arguments of its macro.
const CONFIG_KEYS: [&str; 14] = [
    "severity",
    "tags",
    "enabled",
    "where",
    "limit",
    "warn_if",
    "error_if",
    "fail_calc",
    "store_failures",
    "store_failures_as",
    "meta",
    "database",
    "schema",
    "alias",
];

/// One test of a column or a table.
#[derive(Clone, Debug)]
pub(crate) struct TestSpec {
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    /// Arguments as written, `column_name` included, `model` not yet.
    pub(crate) kwargs: Map<String, Json>,
    pub(crate) config: Map<String, Json>,
    pub(crate) custom_name: Option<String>,
    pub(crate) description: String,
    pub(crate) at: Mark,
}

/// What is wrong with a test's definition, and where.
pub(crate) struct TestProblem {
    pub(crate) at: Mark,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

fn problem(at: Mark, message: impl Into<String>, help: &str) -> TestProblem {
    TestProblem { at, message: message.into(), help: (!help.is_empty()).then(|| help.to_owned()) }
}

impl TestSpec {
    /// Reads `unique`, `{unique: {…}}` and `{test_name: unique, …}`.
    pub(crate) fn read(item: &Yaml, column: Option<&str>) -> Result<Self, TestProblem> {
        const HELP: &str = "write `- not_null`, or `- accepted_values: {arguments: {values: [a, b]}}`";
        let (full_name, args, at): (String, Map<String, Json>, Mark) = match &item.value {
            YamlValue::Text(name) => (name.clone(), Map::new(), item.at),
            YamlValue::Map(entries) => match item.get("test_name").and_then(Yaml::as_str) {
                Some(name) => {
                    let mut args = item.to_map();
                    args.shift_remove("test_name");
                    (name.to_owned(), args, item.at)
                }
                None => match entries.as_slice() {
                    [(key, value)] => match &value.value {
                        YamlValue::Map(_) => (key.text.clone(), value.to_map(), key.at),
                        YamlValue::Null => (key.text.clone(), Map::new(), key.at),
                        _ => {
                            return Err(problem(
                                value.at,
                                format!("the arguments of test `{}` must be a mapping", key.text),
                                HELP,
                            ));
                        }
                    },
                    _ => {
                        return Err(problem(
                            item.at,
                            "a test must have exactly one name",
                            "indent its arguments below its name",
                        ));
                    }
                },
            },
            _ => {
                return Err(problem(item.at, format!("a test must be a name or a mapping, not {}", item.kind()), HELP));
            }
        };
        let (namespace, name) = match full_name.split_once('.') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
            None => (None, full_name),
        };
        let plain = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
        if !plain(&name) || namespace.as_deref().is_some_and(|n| !plain(n)) {
            return Err(problem(at, "a test's name must be made of letters, digits and underscores", ""));
        }
        Ok(Self::split(name, namespace, args, column, at))
    }

    fn split(
        name: String,
        namespace: Option<String>,
        mut args: Map<String, Json>,
        column: Option<&str>,
        at: Mark,
    ) -> Self {
        let mut config = Map::new();
        let nested = match args.shift_remove("config") {
            Some(Json::Object(map)) => map,
            _ => Map::new(),
        };
        for key in CONFIG_KEYS {
            match args.shift_remove(key) {
                Some(value) if !is_unset(&value) => config.insert(key.to_owned(), value),
                _ => None,
            };
        }
        for (key, value) in nested {
            config.entry(key).or_insert(value);
        }
        let text = |value: Option<Json>| value.and_then(|v| v.as_str().map(str::to_owned));
        let description = text(args.shift_remove("description")).unwrap_or_default();
        let custom_name = text(args.shift_remove("name"));
        args.shift_remove("data_type");
        if let Some(column) = column {
            args.insert("column_name".to_owned(), Json::String(column.to_owned()));
        }
        if let Some(Json::Object(arguments)) = args.get("arguments").cloned() {
            args.shift_remove("arguments");
            args.extend(arguments);
        }
        Self { name, namespace, kwargs: args, config, custom_name, description, at }
    }

    /// Name of the macro that implements it, with its package.
    pub(crate) fn macro_call(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}.test_{}", self.name),
            None => format!("test_{}", self.name),
        }
    }

    /// dbt's (short, full) names: the short one is what a warehouse can hold as a table's name.
    pub(crate) fn names(&self, target: &str, is_source: bool) -> (String, String) {
        if let Some(name) = &self.custom_name {
            return (name.clone(), name.clone());
        }
        let mut kind = if is_source { format!("source_{}", self.name) } else { self.name.clone() };
        if let Some(namespace) = &self.namespace {
            kind = format!("{namespace}_{kind}");
        }
        let mut keys: Vec<&String> = self.kwargs.keys().filter(|key| *key != "model").collect();
        keys.sort();
        let parts: Vec<String> = keys
            .iter()
            .flat_map(|key| match &self.kwargs[*key] {
                Json::Object(map) => map.values().map(py_str).collect::<Vec<_>>(),
                Json::Array(items) => items.iter().map(py_str).collect(),
                value => vec![py_str(value)],
            })
            .map(|part| clean(&part))
            .collect();
        let identifier = format!("{kind}_{target}");
        let full = format!("{identifier}_{}", parts.join("__"));
        if full.chars().count() >= 64 {
            let start: String = identifier.chars().take(30).collect();
            (format!("{start}_{}", md5_hex(&full)), full)
        } else {
            (full.clone(), full)
        }
    }

    /// The last part of the unique id: ten digits of a hash over name and arguments, `model` among them.
    pub(crate) fn id_hash(&self, name: &str, model: &str) -> String {
        let mut kwargs = self.kwargs.clone();
        kwargs.insert("model".to_owned(), Json::String(format!("{{{{ get_where_subquery({model}) }}}}")));
        let mut text = format!("{name}{{'kwargs': ");
        hashable(&Json::Object(kwargs), &mut text);
        text.push_str(", 'name': ");
        py_repr_text(&self.name, &mut text);
        text.push_str(", 'namespace': ");
        py_repr_text(self.namespace.as_deref().unwrap_or("None"), &mut text);
        text.push('}');
        let digest = md5_hex(&text);
        digest[digest.len() - 10..].to_owned()
    }

    /// The template that runs it. Texts that are calls (`ref('x')`) or hold Jinja become what they stand for.
    pub(crate) fn template(&self, model: &str) -> String {
        let mut before = String::new();
        let mut call = format!("{{{{ {}(model=get_where_subquery({model})", self.macro_call());
        for (key, value) in &self.kwargs {
            let _ = write!(call, ", {key}=");
            if key == "column_name" {
                let _ = write!(call, "{}", Json::String(py_str(value)));
            } else {
                literal(value, &mut before, &mut call);
            }
        }
        call.push_str(") }}");
        before + &call
    }

    /// dbt's raw code of such a test.
    pub(crate) fn raw_code(&self) -> String {
        let mut code = format!("{{{{ {}(**_dbt_generic_test_kwargs) }}}}", self.macro_call());
        if !self.config.is_empty() {
            let items: Vec<String> = self
                .config
                .iter()
                .map(|(key, value)| match value {
                    Json::String(text) => format!("{key}=\"{}\"", text.replace('"', "\\\"")),
                    other => format!("{key}={}", py_str(other)),
                })
                .collect();
            let _ = write!(code, "{{{{ config({}) }}}}", items.join(","));
        }
        code
    }
}

/// Unset by YAML's own means; `false` and `0` are settings.
fn is_unset(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(map) => map.is_empty(),
        Json::Bool(_) | Json::Number(_) => false,
    }
}

/// Runs of anything but ASCII letters, digits and underscores become one underscore.
fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_run = false;
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            out.push(c);
            in_run = false;
        } else if !in_run {
            out.push('_');
            in_run = true;
        }
    }
    out
}

fn md5_hex(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}

/// Python's `str()` of a YAML value.
fn py_str(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => {
            let mut out = String::new();
            py_repr(other, &mut out);
            out
        }
    }
}

fn py_repr(value: &Json, out: &mut String) {
    match value {
        Json::Null => out.push_str("None"),
        Json::Bool(true) => out.push_str("True"),
        Json::Bool(false) => out.push_str("False"),
        Json::Number(n) => {
            let _ = write!(out, "{n}");
        }
        Json::String(text) => py_repr_text(text, out),
        Json::Array(items) => py_sequence(items, out, py_repr),
        Json::Object(map) => py_mapping(map.iter(), out, py_repr),
    }
}

/// The form dbt hashes: keys sorted, every scalar as text.
fn hashable(value: &Json, out: &mut String) {
    match value {
        Json::Array(items) => py_sequence(items, out, hashable),
        Json::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            py_mapping(entries.into_iter(), out, hashable);
        }
        scalar => py_repr_text(&py_str(scalar), out),
    }
}

fn py_sequence(items: &[Json], out: &mut String, each: fn(&Json, &mut String)) {
    out.push('[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        each(item, out);
    }
    out.push(']');
}

fn py_mapping<'a>(
    entries: impl Iterator<Item = (&'a String, &'a Json)>,
    out: &mut String,
    each: fn(&Json, &mut String),
) {
    out.push('{');
    for (i, (key, value)) in entries.enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        py_repr_text(key, out);
        out.push_str(": ");
        each(value, out);
    }
    out.push('}');
}

fn py_repr_text(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push(quote);
}

/// Writes a value as a Jinja expression. Text with Jinja amid other text is set as a variable first.
fn literal(value: &Json, before: &mut String, out: &mut String) {
    match value {
        Json::Null => out.push_str("none"),
        Json::String(text) => match as_expression(text) {
            Some(expression) => {
                let _ = write!(out, "({expression})");
            }
            None if has_jinja(text) => {
                let name = format!("wardlake_argument_{}", before.len());
                let _ = write!(before, "{{% set {name} %}}{text}{{% endset %}}");
                out.push_str(&name);
            }
            None => {
                let _ = write!(out, "{value}");
            }
        },
        Json::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                literal(item, before, out);
            }
            out.push(']');
        }
        Json::Object(map) => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                let _ = write!(out, "{}: ", Json::String(key.clone()));
                literal(item, before, out);
            }
            out.push('}');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

/// The expression a text is: `ref('x')` as dbt allows it bare, or a single `{{ … }}`.
fn as_expression(text: &str) -> Option<String> {
    let trimmed = text.trim();
    if let Some(inner) = trimmed.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"))
        && !inner.contains("{{")
        && !inner.contains("}}")
        && !inner.contains("{%")
    {
        return Some(inner.trim_matches('-').trim().to_owned());
    }
    let call = Regex::new(r"^\s*(env_var|ref|var|source|doc)\s*\(.+\)\s*$").ok()?;
    call.is_match(text).then(|| trimmed.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn spec(text: &str, column: Option<&str>) -> TestSpec {
        let tree = crate::yaml::parse(Path::new("x.yml"), text).unwrap().unwrap();
        TestSpec::read(&tree.items()[0], column).map_err(|p| p.message).unwrap()
    }

    #[test]
    fn long_names_are_shortened_with_a_hash() {
        let test = spec(
            "- accepted_values: {values: ['placed', 'shipped', 'completed', 'return_pending', 'returned']}",
            Some("status"),
        );
        let (short, full) = test.names("orders", false);
        assert_eq!(full, "accepted_values_orders_status__placed__shipped__completed__return_pending__returned");
        assert_eq!(short, "accepted_values_orders_1ce6ab157c285f7cd2ac656013faf758");
    }

    #[test]
    fn jinja_arguments_become_expressions() {
        let test =
            spec("- relationships: {arguments: {to: \"ref('a')\", field: id, note: \"x {{ 1 }}\"}}", Some("a_id"));
        assert_eq!(
            test.template("ref('b')"),
            "{% set wardlake_argument_0 %}x {{ 1 }}{% endset %}{{ test_relationships(model=get_where_subquery(ref('b')), \
             column_name=\"a_id\", to=(ref('a')), field=\"id\", note=wardlake_argument_0) }}"
        );
    }

    #[test]
    fn settings_are_no_arguments() {
        let test = spec("- unique: {where: 'x > 1', config: {severity: warn}, name: mine}", Some("id"));
        assert_eq!(test.kwargs.keys().collect::<Vec<_>>(), ["column_name"]);
        assert_eq!(Json::Object(test.config), serde_json::json!({"where": "x > 1", "severity": "warn"}));
        assert_eq!(test.custom_name.as_deref(), Some("mine"));
    }
}
