//! Reads the settings of a source table: those of each kind by the kind, and what is the same for all of them here.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    fields::{ConfigProblem, Fields},
    format::{FileFormat, Format},
    kind::Source,
    reading::TableReading,
    table::{Change, Deletes, FileTable},
};
use crate::registry::KINDS;

/// Reads the settings of a table merged over those of its source: the table's win, the two `format` blocks are merged key
/// by key. Returns every problem at once.
pub fn from_json(source_block: &Value, table_block: &Value) -> Result<FileTable, Vec<ConfigProblem>> {
    let mut problems = Vec::new();
    let merged = merge(object(source_block, &mut problems), object(table_block, &mut problems));
    let mut fields = Fields::new("", merged, &mut problems);

    let connector: Option<String> = fields.take("connector", "a text");
    if connector.as_deref().is_some_and(|name| name != "files") {
        fields.problem("connector", "must be `files`".to_owned(), None);
    }
    let format = match fields.raw("format") {
        None => Map::new(),
        Some(Value::Object(map)) => map,
        // `format: csv` is short for `format: {type: csv}`.
        Some(Value::String(name)) => Map::from_iter([("type".to_owned(), Value::String(name))]),
        Some(_) => {
            fields.problem("format", "must be a block of settings".to_owned(), None);
            Map::new()
        }
    };
    let is_fed = KINDS.iter().any(|kind| fields.has(kind.key));
    let sources: Vec<Arc<dyn Source>> = KINDS.iter().filter_map(|kind| (kind.read)(&mut fields)).collect();
    if !is_fed {
        fields.problem(
            "path",
            "is missing".to_owned(),
            Some("name the files, for example `path: patients/patients_{date:%Y%m%d}.csv`".to_owned()),
        );
    }
    let keys = fields.texts("keys").unwrap_or_default();
    let change: Option<Change> = fields.take("change", "one of full, changes, append");
    let mut table = FileTable {
        sources,
        format: Format::default(),
        change: change.unwrap_or(if keys.is_empty() { Change::Append } else { Change::Full }),
        keys,
        deletes: fields.take("deletes", "`detect` or `ignore`").unwrap_or_default(),
        order_by: fields.take("order_by", "one of date, name, modified").unwrap_or_default(),
        time_zone: fields.take("time_zone", "a time zone such as `Europe/Berlin`"),
        on_schema_change: fields
            .take("on_schema_change", "one of append_new_columns, fail, ignore")
            .unwrap_or_default(),
        keep_raw: fields.take("keep_raw", "true or false").unwrap_or_default(),
        reading: TableReading::default(),
    };
    check(&table, &mut fields);
    fields.finish();
    let mapping = format.get("mapping").filter(|mapping| !mapping.is_null()).cloned();
    table.format = Format::from_map(format, &mut problems);
    check_raw(&table, &mut problems);
    table.reading = TableReading::of(&table, mapping.as_ref());
    if problems.is_empty() { Ok(table) } else { Err(problems) }
}

impl FileTable {
    /// See [`from_json`].
    pub fn from_json(source_block: &Value, table_block: &Value) -> Result<Self, Vec<ConfigProblem>> {
        from_json(source_block, table_block)
    }
}

fn check(table: &FileTable, fields: &mut Fields<'_>) {
    if table.keys.is_empty() && table.change != Change::Append {
        fields.problem(
            "keys",
            "are needed to see what changed".to_owned(),
            Some("name the columns that identify a row, or set `change: append`".to_owned()),
        );
    }
    if table.deletes == Deletes::Detect && table.change != Change::Full {
        fields.problem(
            "deletes",
            "can be detected only in full extracts".to_owned(),
            Some("set `change: full`, or `deletes: ignore`".to_owned()),
        );
    }
    if let Some(name) = &table.time_zone
        && name.parse::<chrono_tz::Tz>().is_err()
    {
        fields.problem(
            "time_zone",
            format!("`{name}` is not a known time zone"),
            Some("use an IANA name such as `Europe/Berlin`".to_owned()),
        );
    }
}

fn check_raw(table: &FileTable, problems: &mut Vec<ConfigProblem>) {
    if table.keep_raw && matches!(table.format.file_format, FileFormat::Parquet | FileFormat::Hl7) {
        let kind = table.format.file_format.name();
        problems.push(ConfigProblem {
            path: "keep_raw".to_owned(),
            message: format!("keeps lines and records of delimited text and JSON, and these files are {kind}"),
            help: Some("leave it out".to_owned()),
        });
    }
}

fn object(block: &Value, problems: &mut Vec<ConfigProblem>) -> Map<String, Value> {
    match block {
        Value::Null => Map::new(),
        Value::Object(map) => map.clone(),
        _ => {
            problems.push(ConfigProblem {
                path: String::new(),
                message: "must be a block of settings".to_owned(),
                help: None,
            });
            Map::new()
        }
    }
}

fn merge(mut base: Map<String, Value>, over: Map<String, Value>) -> Map<String, Value> {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => old.extend(new),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
    base
}
