//! How a table's files are read, as far as it is not the usual way: what its rows depend on beside the bytes. Kept with the rows, it tells
//! later that other rows would come of the same bytes today.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    format::{Compression, Delimiter, Encoding, FileFormat, Format, Header, Ragged},
    table::{Change, Deletes, FileTable, OnSchemaChange, OrderBy},
};

/// Whether an empty field is NULL: the path of the setting.
const EMPTY_IS_NULL: &str = "format.empty_is_null";
/// What stands there for a table that is read as the release before did, until it is read again.
const AS_BEFORE: &str = "as the release before, until the next reload";

/// The settings that a table's rows depend on, by dotted path, without those that have their default: a setting that a later release
/// brings changes no reading of before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableReading(BTreeMap<String, Value>);

impl TableReading {
    pub(super) fn of(table: &FileTable, mapping: Option<&Value>) -> Self {
        let mut settings = BTreeMap::new();
        let mut note = |path: &str, is_usual: bool, value: Value| {
            if !is_usual {
                settings.insert(path.to_owned(), value);
            }
        };
        note_format(&table.format, &mut note);
        if let Some(mapping) = mapping {
            note("format.mapping", false, mapping.clone());
        }
        let usual = if table.keys.is_empty() { Change::Append } else { Change::Full };
        note("keys", table.keys.is_empty(), json!(table.keys));
        note("change", table.change == usual, json!(table.change));
        note("deletes", table.deletes == Deletes::default(), json!(table.deletes));
        note("order_by", table.order_by == OrderBy::default(), json!(table.order_by));
        // The others decide what becomes of a file, not what its rows are.
        note("on_schema_change", table.on_schema_change != OnSchemaChange::Ignore, json!(table.on_schema_change));
        note("keep_raw", !table.keep_raw, json!(table.keep_raw));
        Self(settings)
    }

    /// As [`Self::to_text`] wrote it.
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    /// To be kept with the rows.
    pub fn to_text(&self) -> String {
        Value::Object(Map::from_iter(self.0.clone())).to_string()
    }

    /// The same reading with empty fields read as texts, as the release before did: what is known of rows with which no reading is kept.
    #[must_use]
    pub fn as_before(mut self) -> Self {
        self.0.entry(EMPTY_IS_NULL.to_owned()).or_insert_with(|| AS_BEFORE.into());
        self
    }

    /// Whether empty fields are read as the release before did, because nobody has read the files again.
    pub fn is_as_before(&self) -> bool {
        self.0.get(EMPTY_IS_NULL).is_some_and(|value| value == AS_BEFORE)
    }

    /// How another reading differs, a sentence's part for each setting. That of the release before is no difference of its own.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let mut paths: Vec<&String> = self.0.keys().chain(now.0.keys()).collect();
        paths.sort_unstable();
        paths.dedup();
        let written = |value: Option<&Value>| value.map_or_else(|| "the default".to_owned(), Value::to_string);
        let is_told = |path: &str| !(path == EMPTY_IS_NULL && self.is_as_before());
        paths
            .into_iter()
            .filter(|path| is_told(path) && self.0.get(*path) != now.0.get(*path))
            .map(|path| match path.as_str() {
                "format.mapping" => "`format.mapping`".to_owned(),
                _ => format!("`{path}` from {} to {}", written(self.0.get(path)), written(now.0.get(path))),
            })
            .collect()
    }
}

fn note_format(format: &Format, note: &mut impl FnMut(&str, bool, Value)) {
    let usual = Format::default();
    let byte = |byte: Option<u8>| byte.map_or(json!("none"), |byte| json!(char::from(byte).to_string()));
    note("format.type", format.file_format == FileFormat::Auto, json!(format.file_format));
    match &format.delimiter {
        Delimiter::Auto => {}
        Delimiter::Text(text) => note("format.delimiter", false, json!(text)),
    }
    note("format.quote", format.quote == usual.quote, byte(format.quote));
    note("format.escape", format.escape.is_none(), byte(format.escape));
    note("format.comment", format.comment.is_none(), byte(format.comment));
    let header = match format.header {
        Header::Yes => json!(true),
        Header::No => json!(false),
        Header::Auto => json!("auto"),
    };
    let usual_header = if format.columns.is_empty() { Header::Yes } else { Header::No };
    note("format.header", format.header == usual_header, header);
    note("format.columns", format.columns.is_empty(), json!(format.columns));
    note("format.encoding", format.encoding == Encoding::Auto, json!(format.encoding));
    note("format.compression", format.compression == Compression::Auto, json!(format.compression));
    note("format.null_values", format.nulls.is_empty(), json!(format.nulls));
    note(EMPTY_IS_NULL, format.empty_is_null, json!(format.empty_is_null));
    note("format.skip_rows", format.skip_rows == 0, json!(format.skip_rows));
    note("format.records", format.records.is_none(), json!(format.records));
    note("format.ragged", format.ragged == Ragged::Pad, json!(format.ragged));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(block: Value) -> TableReading {
        FileTable::from_json(&Value::Null, &block).unwrap().reading
    }

    #[test]
    fn b11_only_what_changes_rows_is_a_change_of_the_reading() {
        let usual = reading(json!({"path": "a.csv"}));
        assert_eq!(usual, TableReading::default());
        for same in [
            json!({"path": "b.csv", "settle_seconds": 5, "done_suffix": ".done", "on_schema_change": "fail"}),
            json!({"path": "a.csv", "format": {"delimiter": "auto", "quote": "\"", "header": true, "null_values": []}}),
            json!({"path": "a.csv", "format": {"escape": "\""}, "change": "append", "deletes": "ignore"}),
        ] {
            assert_eq!(reading(same.clone()), usual, "{same}");
        }
        for (other, told) in [
            (json!({"delimiter": ";"}), "`format.delimiter` from the default to \";\""),
            (json!({"null_values": "NA"}), "`format.null_values` from the default to [\"NA\"]"),
            (json!({"null": "NA"}), "`format.null_values` from the default to [\"NA\"]"),
            (json!({"empty_is_null": false}), "`format.empty_is_null` from the default to false"),
            (json!({"header": false}), "`format.header` from the default to false"),
            (json!({"quote": "none"}), "`format.quote` from the default to \"none\""),
            (json!({"ragged": "reject"}), "`format.ragged` from the default to \"reject\""),
        ] {
            let other = reading(json!({"path": "a.csv", "format": other}));
            assert_eq!(usual.differences(&other), [told]);
            assert_eq!(TableReading::from_text(&other.to_text()), Some(other));
        }
    }

    #[test]
    fn b03_the_reading_of_the_release_before_is_no_change_by_itself() {
        let now = reading(json!({"path": "a.csv"}));
        let before = now.clone().as_before();
        assert!(before.is_as_before() && before.differences(&now).is_empty());
        let kept = reading(json!({"path": "a.csv", "format": {"empty_is_null": false}}));
        assert!(!kept.clone().as_before().is_as_before());
        assert_eq!(before.differences(&kept), [""; 0]);
        assert_eq!(kept.differences(&now), ["`format.empty_is_null` from false to the default"]);
    }
}
