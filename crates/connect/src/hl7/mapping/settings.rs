//! Reads the blocks of a mapping, with every problem at once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde_json::{Map, Value};
use wardlake_core::{did_you_mean, lineage};

use super::{
    super::path::{Path, is_segment_name},
    Accept,
    column::{Codes, Column, From},
};
use crate::ConfigProblem;

/// A block of settings of which some are read already.
pub(crate) struct Block<'p> {
    pub(crate) path: String,
    pub(crate) values: Map<String, Value>,
    known: Vec<&'static str>,
    pub(crate) problems: &'p mut Vec<ConfigProblem>,
}

/// The code tables, by name.
pub(crate) type Tables = BTreeMap<String, Arc<HashMap<String, String>>>;

impl<'p> Block<'p> {
    pub(crate) fn new(path: String, values: Map<String, Value>, problems: &'p mut Vec<ConfigProblem>) -> Self {
        Self { path, values, known: Vec::new(), problems }
    }

    /// The block of this name; empty where there is none.
    pub(crate) fn block(&mut self, name: &'static str) -> Block<'_> {
        let values = match self.take(name) {
            None => Map::new(),
            Some(Value::Object(values)) => values,
            Some(_) => {
                self.problem(name, "must be a block of settings");
                Map::new()
            }
        };
        Block::new(format!("{}.{name}", self.path), values, self.problems)
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.values.shift_remove(name).filter(|value| !value.is_null())
    }

    fn is_set(&mut self, name: &'static str) -> bool {
        match self.take(name) {
            None => false,
            Some(Value::Bool(value)) => value,
            Some(_) => {
                self.problem(name, "must be true or false");
                false
            }
        }
    }

    fn texts(&mut self, name: &'static str) -> Vec<String> {
        match self.take(name) {
            None => Vec::new(),
            Some(value) => texts(&value).unwrap_or_else(|| {
                self.problem(name, "must be a text or a list of texts");
                Vec::new()
            }),
        }
    }

    fn problem(&mut self, name: &str, message: &str) {
        let path = format!("{}.{name}", self.path);
        self.problems.push(ConfigProblem { path, message: message.to_owned(), help: None });
    }

    /// Reports what nobody asked for.
    pub(crate) fn finish(self) {
        for name in self.values.keys() {
            let help = match did_you_mean(name, self.known.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known settings: {}", self.known.join(", ")),
            };
            let path = format!("{}.{name}", self.path);
            let message = "is not a setting of an HL7 mapping".to_owned();
            self.problems.push(ConfigProblem { path, message, help: Some(help) });
        }
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) if !items.is_empty() => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// Whether `name` can be a column: what every engine reads without quotes, and no column of ours.
pub(crate) fn is_column_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !lineage::is_lineage(name)
}

/// The shipped tables, with what the site says of codes added to each.
pub(crate) fn codes(shipped: Map<String, Value>, site: Block<'_>) -> Tables {
    let mut tables: BTreeMap<String, HashMap<String, String>> = BTreeMap::new();
    let mut ours = Vec::new();
    let shipped = Block::new("default.json".to_owned(), shipped, &mut ours);
    for block in [shipped, site] {
        for (name, value) in block.values {
            match meanings(&value) {
                Some(meanings) => tables.entry(name).or_default().extend(meanings),
                None => block.problems.push(no_table(format!("{}.{name}", block.path))),
            }
        }
    }
    tables.into_iter().map(|(name, meanings)| (name, Arc::new(meanings))).collect()
}

fn no_table(path: String) -> ConfigProblem {
    let message = "must say what each code means".to_owned();
    ConfigProblem { path, message, help: Some("write it as `{F: female, M: male}`".to_owned()) }
}

fn meanings(value: &Value) -> Option<HashMap<String, String>> {
    let meaning = |(code, meaning): (&String, &Value)| {
        let meaning = match meaning {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            // YAML reads a bare `yes` or `no` as these.
            Value::Bool(value) => value.to_string(),
            _ => return None,
        };
        Some((code.trim().to_ascii_uppercase(), meaning))
    };
    value.as_object()?.iter().map(meaning).collect()
}

/// Which messages a source takes.
pub(crate) fn accept(mut block: Block<'_>) -> Accept {
    let types = block.texts("types").into_iter().map(|text| match text.split_once('^') {
        Some((name, event)) => (name.to_owned(), Some(event.to_owned())),
        None => (text, None),
    });
    let accept =
        Accept { types: types.collect(), processing: block.texts("processing"), versions: block.texts("versions") };
    block.finish();
    accept
}

/// A column as it is set: a place, several, or a block that says more.
pub(crate) fn column(
    path: &str,
    name: String,
    value: Value,
    tables: &Tables,
    problems: &mut Vec<ConfigProblem>,
) -> Option<Column> {
    let values = match value {
        Value::Object(values) => values,
        value => {
            let paths = paths(path, &value, problems)?;
            return Some(Column::new(name, From::First { paths, codes: None, is_time: false }));
        }
    };
    let mut block = Block::new(path.to_owned(), values, problems);
    let when = block.take("when").map(|value| value.as_str().unwrap_or_default().to_owned());
    if when.as_deref().is_some_and(|segment| !is_segment_name(segment)) {
        block.problem("when", "must be the name of a segment, such as `MRG`");
    }
    let is_required = block.is_set("required");
    let from = from(&mut block, tables);
    block.finish();
    Some(Column { name, from: from?, when, is_required })
}

fn from(block: &mut Block<'_>, tables: &Tables) -> Option<From> {
    let kinds = ["from", "join", "object", "list"];
    let named: Vec<&str> = kinds.into_iter().filter(|kind| block.values.contains_key(*kind)).collect();
    let path = |block: &Block<'_>, name: &str| format!("{}.{name}", block.path);
    match named.as_slice() {
        ["from"] => {
            let value = block.take("from")?;
            let paths = paths(&path(block, "from"), &value, block.problems);
            let codes = of_table(block, tables);
            Some(From::First { paths: paths?, codes, is_time: block.is_set("time") })
        }
        ["join"] => {
            let value = block.take("join")?;
            let paths = paths(&path(block, "join"), &value, block.problems);
            let with = block.texts("with").concat();
            Some(From::Join { paths: paths?, with })
        }
        ["object"] => fields(block, "object", tables).map(From::Object),
        ["list"] => {
            let segments = block.take("list")?.as_str().unwrap_or_default().to_owned();
            let is_beginning = segments.strip_suffix('*').is_some_and(|text| (1..=2).contains(&text.len()));
            if !is_segment_name(&segments) && !is_beginning {
                block.problem("list", "must be the name of a segment, such as `OBX`, or the beginning of names: `Z*`");
            }
            let fields =
                if block.values.contains_key("fields") { Some(fields(block, "fields", tables)?) } else { None };
            block.known.push("fields");
            Some(From::List { segments, fields })
        }
        _ => {
            block.problems.push(ConfigProblem {
                path: block.path.clone(),
                message: "must have one of `from`, `join`, `object` and `list`".to_owned(),
                help: Some("a place alone is enough: `ward: ZPV-3`".to_owned()),
            });
            // They are known, if too many.
            block.values.clear();
            None
        }
    }
}

fn fields(block: &mut Block<'_>, name: &'static str, tables: &Tables) -> Option<Vec<Column>> {
    let block = block.block(name);
    if block.values.is_empty() {
        let message = "must name at least one field".to_owned();
        block.problems.push(ConfigProblem { path: block.path.clone(), message, help: None });
        return None;
    }
    let Block { path, values, problems, .. } = block;
    let field = |(name, value): (String, Value)| column(&format!("{path}.{name}"), name, value, tables, problems);
    Some(values.into_iter().filter_map(field).collect())
}

fn of_table(block: &mut Block<'_>, tables: &Tables) -> Option<Codes> {
    let is_closed = block.is_set("closed");
    let meanings = match block.take("codes")? {
        Value::String(name) => match tables.get(&name) {
            Some(meanings) => Arc::clone(meanings),
            None => {
                let help = did_you_mean(&name, tables.keys().map(String::as_str))
                    .map(|known| format!("did you mean `{known}`?"))
                    .or_else(|| Some("name it in `format.mapping.codes`".to_owned()));
                let message = format!("`{name}` is not a code table");
                block.problems.push(ConfigProblem { path: format!("{}.codes", block.path), message, help });
                return None;
            }
        },
        value => match meanings(&value) {
            Some(meanings) => Arc::new(meanings),
            None => {
                block.problems.push(no_table(format!("{}.codes", block.path)));
                return None;
            }
        },
    };
    Some(Codes { meanings, is_closed })
}

fn paths(path: &str, value: &Value, problems: &mut Vec<ConfigProblem>) -> Option<Vec<Path>> {
    let Some(texts) = texts(value) else {
        problems.push(ConfigProblem {
            path: path.to_owned(),
            message: "must be a place in a message, or a list of places".to_owned(),
            help: Some("write it as `PID-3.1`".to_owned()),
        });
        return None;
    };
    let mut paths = Vec::new();
    for text in &texts {
        match Path::parse(text) {
            Ok(found) => paths.push(found),
            Err(message) => problems.push(ConfigProblem {
                path: path.to_owned(),
                message,
                help: Some("write it as `PID-3.1`, `PID-3[2].1`, `PID-3[?5=MR].1` or `OBX-5[*]`".to_owned()),
            }),
        }
    }
    (paths.len() == texts.len()).then_some(paths)
}
