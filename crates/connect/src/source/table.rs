//! The settings of one source table: how its files are found and read, and what else feeds it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    fields::{ConfigProblem, Fields},
    format::Format,
    listen::{HttpSettings, MllpSettings},
};
use crate::{files::pattern::PathPattern, kafka::KafkaSettings};

/// How new rows of a table relate to the old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Every file holds all rows; they are compared with the last state of each key.
    Full,
    /// Every file holds new and changed rows.
    Changes,
    /// Rows are only ever added.
    Append,
}

/// What a key that a full extract no longer has means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deletes {
    /// The row was deleted.
    Detect,
    /// Nothing.
    #[default]
    Ignore,
}

/// The order in which files are loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderBy {
    /// By the date in the path, then by the path.
    #[default]
    Date,
    /// By the path.
    Name,
    /// By the time of the last change, then by the path.
    Modified,
}

/// What a column the table does not have yet means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnSchemaChange {
    /// The table gets it.
    #[default]
    AppendNewColumns,
    /// The file is not loaded.
    Fail,
    /// It is left out.
    Ignore,
}

/// One source table, with every default filled in.
#[derive(Clone, Debug)]
pub struct FileTable {
    /// `root`: the folder that `path` starts from, itself relative to the caller's base folder.
    pub root: Option<String>,
    /// `path`: one or more patterns; none where something else feeds the table.
    pub patterns: Vec<PathPattern>,
    /// `format`: how to read the files.
    pub format: Format,
    /// `keys`: the columns that identify a row, in any spelling. A file that lacks one of them is not loaded; of records that name their
    /// columns anew (JSON), one that lacks a key has NULL there, and a file without any key is not loaded.
    pub keys: Vec<String>,
    /// `change`: default full with keys, append without.
    pub change: Change,
    /// `deletes`: default ignore.
    pub deletes: Deletes,
    /// `order_by`: default date.
    pub order_by: OrderBy,
    /// `time_zone`: of local times in the files, an IANA name.
    pub time_zone: Option<String>,
    /// `settle_seconds`: a file that changed more recently is left for the next run (default 0).
    pub settle_seconds: u64,
    /// `done_suffix`: a file is taken only when `<file><suffix>` stands beside it (default none).
    pub done_suffix: Option<String>,
    /// `on_schema_change`: default append_new_columns.
    pub on_schema_change: OnSchemaChange,
    /// `kafka`: topics whose records are rows of this table.
    pub kafka: Option<KafkaSettings>,
    /// `http`: the table takes requests as well.
    pub http: Option<HttpSettings>,
    /// `mllp`: the table takes HL7 v2 messages as well.
    pub mllp: Option<MllpSettings>,
}

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
    let is_fed_otherwise = ["kafka", "http", "mllp"].iter().any(|key| fields.has(key));
    let kafka = kafka_block(&mut fields);
    let (http, mllp) = (fields.raw("http"), fields.raw("mllp"));
    let patterns = patterns(&mut fields, is_fed_otherwise);
    let keys = fields.texts("keys").unwrap_or_default();
    let change: Option<Change> = fields.take("change", "one of full, changes, append");
    let mut table = FileTable {
        root: fields.take("root", "a folder"),
        patterns,
        format: Format::default(),
        change: change.unwrap_or(if keys.is_empty() { Change::Append } else { Change::Full }),
        keys,
        deletes: fields.take("deletes", "`detect` or `ignore`").unwrap_or_default(),
        order_by: fields.take("order_by", "one of date, name, modified").unwrap_or_default(),
        time_zone: fields.take("time_zone", "a time zone such as `Europe/Berlin`"),
        settle_seconds: fields.take("settle_seconds", "a number of seconds").unwrap_or_default(),
        done_suffix: fields.take("done_suffix", "a text such as `.done`"),
        on_schema_change: fields
            .take("on_schema_change", "one of append_new_columns, fail, ignore")
            .unwrap_or_default(),
        kafka: None,
        http: None,
        mllp: None,
    };
    check(&table, &mut fields);
    fields.finish();
    table.http = HttpSettings::from_value(http, &mut problems);
    table.mllp = MllpSettings::from_value(mllp, &mut problems);
    table.format = Format::from_map(format, &mut problems);
    table.kafka = kafka.and_then(|block| KafkaSettings::from_map(block, &mut problems));
    if problems.is_empty() { Ok(table) } else { Err(problems) }
}

impl FileTable {
    /// See [`from_json`].
    pub fn from_json(source_block: &Value, table_block: &Value) -> Result<Self, Vec<ConfigProblem>> {
        from_json(source_block, table_block)
    }
}

/// The `kafka` block as written; its settings are read once those around it are.
fn kafka_block(fields: &mut Fields<'_>) -> Option<Map<String, Value>> {
    match fields.raw("kafka")? {
        Value::Object(block) => Some(block),
        _ => {
            fields.problem("kafka", "must be a block of settings".to_owned(), None);
            None
        }
    }
}

fn patterns(fields: &mut Fields<'_>, is_fed_otherwise: bool) -> Vec<PathPattern> {
    let Some(texts) = fields.texts("path") else {
        if !is_fed_otherwise {
            fields.problem(
                "path",
                "is missing".to_owned(),
                Some("name the files, for example `path: patients/patients_{date:%Y%m%d}.csv`".to_owned()),
            );
        }
        return Vec::new();
    };
    let mut patterns = Vec::new();
    for text in texts {
        match PathPattern::new(&text) {
            Ok(pattern) => patterns.push(pattern),
            Err(message) => fields.problem("path", format!("`{text}` cannot be used: {message}"), None),
        }
    }
    patterns
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
    if table.done_suffix.as_deref() == Some("") {
        fields.problem("done_suffix", "must not be empty".to_owned(), None);
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
