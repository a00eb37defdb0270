//! YAML with places: a file becomes a tree whose every value and key knows its line and column.
//!
//! One layer over saphyr, so that the rest of the crate speaks of keys and values, and every message about a project
//! can point at the exact spot. Merge keys (`<<: *anchor`) are resolved here.

use std::{collections::HashSet, path::Path};

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::{Map, Value as Json};
use wardlake_core::{Diagnostic, Diagnostics, did_you_mean};

use crate::files;

/// Line and column, both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A mapping's key.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) at: Mark,
}

/// A value and where it starts.
#[derive(Clone, Debug)]
pub(crate) struct Yaml {
    pub(crate) at: Mark,
    pub(crate) value: YamlValue,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum YamlValue {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<(Key, Yaml)>),
}

/// How many lists and mappings may stand one inside the other: whoever reads a tree goes down it by recursion. Within brackets the
/// parser itself stops at 255.
const MAX_DEPTH: usize = 64;

/// The first document of a file, which messages call `shown`; none if there is no such file or nothing in it.
pub(crate) fn read(file: &Path, shown: &Path) -> Result<Option<Yaml>, Diagnostic> {
    match files::read_text(file) {
        Ok(text) => parse(shown, &text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Diagnostic::error("WL-P002", format!("this file cannot be read: {error}")).at(shown, 1, 1)),
    }
}

/// The first document of `text`; none for an empty file.
pub(crate) fn parse(file: &Path, text: &str) -> Result<Option<Yaml>, Diagnostic> {
    // A byte-order mark is no YAML, yet Windows editors write it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > files::MAX_TEXT_BYTES {
        let message = format!("this YAML is larger than {}", files::MAX_TEXT);
        return Err(Diagnostic::error("WL-P002", message).at(file, 1, 1).help("split it into several files"));
    }
    if let Some(line) = too_deep(text) {
        let message = format!("more than {MAX_DEPTH} lists and mappings stand one inside the other");
        return Err(Diagnostic::error("WL-P001", message).at(file, line, 1).help("write it with fewer levels"));
    }
    let documents = MarkedYaml::load_from_str(text).map_err(|error| {
        let mark = error.marker();
        Diagnostic::error("WL-P001", format!("this is not valid YAML: {}", error.info()))
            .at(file, mark.line().max(1), mark.col() + 1)
            .help("check the indentation and the quotes on this line and the one before it")
    })?;
    let Some(first) = documents.into_iter().next() else { return Ok(None) };
    let tree = convert(&first, file)?;
    Ok((!matches!(tree.value, YamlValue::Null)).then_some(tree))
}

/// The line on which blocks stand deeper one inside the other than may be. Of text, not of tokens: the parser goes down by recursion
/// before anybody can ask it. A level begins where something stands further right than what it belongs to; lines of a text that is
/// indented count as well, and are never so many steps deep.
pub(crate) fn too_deep(text: &str) -> Option<usize> {
    let mut columns: Vec<usize> = Vec::new();
    let mut offset = 0;
    for line in text.split(['\n', '\r']) {
        let after_mark = line.strip_prefix("---").filter(|rest| rest.starts_with([' ', '\t']));
        let bytes = after_mark.unwrap_or(line).as_bytes();
        let mut column = 0;
        while let Some(byte) = bytes.get(column) {
            if matches!(byte, b' ' | b'\t') {
                column += 1;
                continue;
            }
            if *byte == b'#' {
                break;
            }
            while columns.last().is_some_and(|last| *last >= column) {
                columns.pop();
            }
            columns.push(column);
            if columns.len() > MAX_DEPTH {
                return Some(text[..offset].matches('\n').count() + 1);
            }
            let is_indicator = matches!(byte, b'-' | b'?' | b':')
                && bytes.get(column + 1).is_none_or(|next| matches!(next, b' ' | b'\t'));
            if !is_indicator {
                break;
            }
            column += 1;
        }
        offset += line.len() + 1;
    }
    None
}

fn convert(node: &MarkedYaml<'_>, file: &Path) -> Result<Yaml, Diagnostic> {
    let at = Mark { line: node.span.start.line().max(1), column: node.span.start.col() + 1 };
    let value = match &node.data {
        YamlData::Value(scalar) => match scalar {
            Scalar::Null => YamlValue::Null,
            Scalar::Boolean(b) => YamlValue::Bool(*b),
            Scalar::Integer(i) => YamlValue::Int(*i),
            Scalar::FloatingPoint(f) => YamlValue::Float((*f).into()),
            Scalar::String(s) => YamlValue::Text(s.to_string()),
        },
        YamlData::Representation(text, ..) => YamlValue::Text(text.to_string()),
        YamlData::Sequence(items) => {
            YamlValue::List(items.iter().map(|item| convert(item, file)).collect::<Result<_, _>>()?)
        }
        YamlData::Mapping(entries) => {
            let mut own: Vec<(Key, Yaml)> = Vec::with_capacity(entries.len());
            let mut merged = Vec::new();
            for (key, value) in entries {
                let key = convert(key, file)?;
                let value = convert(value, file)?;
                let text = key.scalar_text().ok_or_else(|| {
                    Diagnostic::error("WL-P001", "a key must be plain text").at(file, key.at.line, key.at.column)
                })?;
                if text == "<<" {
                    merge_keys(value, &mut merged);
                } else {
                    own.push((Key { text, at: key.at }, value));
                }
            }
            let mut known: HashSet<String> = match merged.is_empty() {
                true => HashSet::new(),
                false => own.iter().map(|(key, _)| key.text.clone()).collect(),
            };
            own.extend(merged.into_iter().filter(|(key, _)| known.insert(key.text.clone())));
            YamlValue::Map(own)
        }
        YamlData::Tagged(_, inner) => return convert(inner, file),
        YamlData::Alias(_) | YamlData::BadValue => {
            return Err(Diagnostic::error("WL-P001", "this value cannot be read").at(file, at.line, at.column));
        }
    };
    Ok(Yaml { at, value })
}

fn merge_keys(value: Yaml, into: &mut Vec<(Key, Yaml)>) {
    match value.value {
        YamlValue::Map(entries) => into.extend(entries),
        YamlValue::List(items) => items.into_iter().for_each(|item| merge_keys(item, into)),
        _ => {}
    }
}

impl Yaml {
    /// The value under `key`, if this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Yaml> {
        self.entries().iter().find(|(k, _)| k.text == key).map(|(_, v)| v)
    }

    /// The entries of a mapping; none for anything else.
    pub(crate) fn entries(&self) -> &[(Key, Yaml)] {
        match &self.value {
            YamlValue::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none for anything else.
    pub(crate) fn items(&self) -> &[Yaml] {
        match &self.value {
            YamlValue::List(items) => items,
            _ => &[],
        }
    }

    /// Text that was written as text.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            YamlValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Any scalar in its spelling; none for null, lists and mappings.
    pub(crate) fn scalar_text(&self) -> Option<String> {
        match &self.value {
            YamlValue::Text(text) => Some(text.clone()),
            YamlValue::Bool(b) => Some(b.to_string()),
            YamlValue::Int(i) => Some(i.to_string()),
            YamlValue::Float(f) => Some(f.to_string()),
            _ => None,
        }
    }

    /// One text or a list of texts.
    pub(crate) fn text_list(&self) -> Vec<String> {
        match &self.value {
            YamlValue::List(items) => items.iter().filter_map(Yaml::scalar_text).collect(),
            _ => self.scalar_text().into_iter().collect(),
        }
    }

    /// Whether this is a mapping.
    pub(crate) fn is_map(&self) -> bool {
        matches!(self.value, YamlValue::Map(_))
    }

    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            YamlValue::Null => "nothing",
            YamlValue::Bool(_) => "a yes/no value",
            YamlValue::Int(_) | YamlValue::Float(_) => "a number",
            YamlValue::Text(_) => "a text",
            YamlValue::List(_) => "a list",
            YamlValue::Map(_) => "a mapping",
        }
    }

    /// The same tree as JSON, without places.
    pub(crate) fn to_json(&self) -> Json {
        match &self.value {
            YamlValue::Null => Json::Null,
            YamlValue::Bool(b) => Json::Bool(*b),
            YamlValue::Int(i) => Json::from(*i),
            YamlValue::Float(f) => Json::from(*f),
            YamlValue::Text(text) => Json::String(text.clone()),
            YamlValue::List(items) => Json::Array(items.iter().map(Yaml::to_json).collect()),
            YamlValue::Map(_) => Json::Object(self.to_map()),
        }
    }

    /// A mapping as JSON; empty for anything else.
    pub(crate) fn to_map(&self) -> Map<String, Json> {
        self.entries().iter().map(|(key, value)| (key.text.clone(), value.to_json())).collect()
    }
}

/// What is said of a key that a file's block does not have.
pub(crate) fn unknown_key(file: &Path, key: &Key, known: &[&str]) -> Diagnostic {
    let message = format!("`{}` is not a key of {} here", key.text, file.display());
    Diagnostic::error("WL-P003", message).at(file, key.at.line, key.at.column).help(
        match did_you_mean(&key.text, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known keys: {}", known.join(", ")),
        },
    )
}

/// A mapping, or nothing, with these keys; with any, if none are `known`.
pub(crate) fn check_block(file: &Path, what: &str, block: &Yaml, known: &[&str], problems: &mut Diagnostics) {
    if !block.is_map() && !matches!(block.value, YamlValue::Null) {
        let message = format!("{what} must be a mapping, not {}", block.kind());
        problems.push(Diagnostic::error("WL-P005", message).at(file, block.at.line, block.at.column));
    }
    if known.is_empty() {
        return;
    }
    let unknown = block.entries().iter().filter(|(key, _)| !known.contains(&key.text.as_str()));
    problems.0.extend(unknown.map(|(key, _)| unknown_key(file, key, known)));
}

/// Reads a number of bytes, or a text such as `2GiB`.
pub(crate) fn as_bytes(value: &Json) -> Option<u64> {
    if let Some(n) = value.as_u64() {
        return Some(n);
    }
    let text = value.as_str()?.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0 * 1024.0,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "t" | "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some((number * unit) as u64)
}

/// Reads `true`, `yes`, `on`, `1` and their opposites, as YAML 1.1 and Jinja spell them.
pub(crate) fn as_bool(value: &Json) -> Option<bool> {
    match value {
        Json::Bool(b) => Some(*b),
        Json::Number(n) => match n.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Json::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" | "" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_know_their_places() {
        let tree = parse(Path::new("x.yml"), "a:\n  - name: one\n    tests: [unique]\n").unwrap().unwrap();
        let item = &tree.get("a").unwrap().items()[0];
        assert_eq!(item.at, Mark { line: 2, column: 5 });
        assert_eq!(item.get("name").unwrap().at, Mark { line: 2, column: 11 });
        assert_eq!(item.entries()[1].0.at, Mark { line: 3, column: 5 });
    }

    #[test]
    fn merge_keys_are_resolved_and_own_keys_win() {
        let tree = parse(Path::new("x.yml"), "base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n").unwrap().unwrap();
        assert_eq!(tree.get("use").unwrap().to_json(), serde_json::json!({"y": 3, "x": 1}));
    }

    #[test]
    fn c08_depth_and_size_have_bounds() {
        let nested = |levels: usize| (0..levels).map(|level| format!("{}a:\n", " ".repeat(level))).collect::<String>();
        let file = Path::new("x.yml");
        for (text, line) in [
            (nested(2_000), MAX_DEPTH + 1),
            (format!("a: 1\n{} b\n", "- ".repeat(100_000)), 2),
            (format!("--- {}b\n", "- ".repeat(100_000)), 1),
            (format!("{}b\n", "? ".repeat(100_000)), 1),
            (nested(2_000).replace('\n', "\r\n"), MAX_DEPTH + 1),
            (nested(2_000).replace('\n', "\r"), 1),
        ] {
            let problem = parse(file, &text).unwrap_err();
            assert_eq!(problem.location.map(|place| place.line), Some(line), "{}", problem.message);
        }
        for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "a: x\n".repeat(4 << 20)] {
            assert!(parse(file, &text).is_err());
        }
        assert!(parse(file, &nested(50)).unwrap().is_some());
        let many = (0..1_000).map(|n| format!("- name: a{n}\n  rows:\n  - x\n  - y\n")).collect::<String>();
        assert_eq!(parse(file, &many).unwrap().unwrap().items().len(), 1_000);
        // Each level stands for ten of the one before.
        let mut bomb = "a0: &a0 [x]\n".to_owned();
        for level in 1..12 {
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", "));
        }
        assert!(parse(file, &bomb).is_err());
    }

    #[test]
    fn malformed_yaml_has_a_place() {
        let error = parse(Path::new("models/x.yml"), "a:\n  - b: [1, 2\nc: d\n").unwrap_err();
        let place = error.location.unwrap();
        assert!(place.line >= 2, "{place}");
        assert_eq!(place.file, Path::new("models/x.yml"));
    }
}
