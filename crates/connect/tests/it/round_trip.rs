//! What a program writes by the rules is read back field by field, whatever the dialect and the values.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support::load;

/// How a file is written.
#[derive(Clone, Debug)]
struct Writer {
    delimiter: &'static str,
    quote: char,
    escape: Option<char>,
    line_end: &'static str,
    quotes_all: bool,
    is_utf16: bool,
    ends_last_line: bool,
}

impl Writer {
    fn field(&self, value: &str) -> String {
        let special = [self.quote, '\n', '\r', ' ', '#'];
        let needs_quotes = value.is_empty()
            || value.contains(self.delimiter)
            || value.contains(|c| special.contains(&c) || Some(c) == self.escape)
            || self.delimiter.starts_with(|c| value.ends_with(c));
        if !needs_quotes && !self.quotes_all {
            return value.to_owned();
        }
        let mut out = String::from(self.quote);
        for c in value.chars() {
            if c == self.quote || Some(c) == self.escape {
                out.push(self.escape.unwrap_or(self.quote));
            }
            out.push(c);
        }
        out.push(self.quote);
        out
    }

    fn line(&self, fields: &[String]) -> String {
        fields.iter().map(|field| self.field(field)).collect::<Vec<_>>().join(self.delimiter)
    }

    fn file(&self, records: &[Vec<String>]) -> Vec<u8> {
        let mut text = records.iter().map(|fields| self.line(fields)).collect::<Vec<_>>().join(self.line_end);
        if self.ends_last_line {
            text.push_str(self.line_end);
        }
        if self.is_utf16 {
            let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
            return units.flat_map(u16::to_le_bytes).collect();
        }
        text.into_bytes()
    }
}

fn writers() -> impl Strategy<Value = Writer> {
    (
        prop::sample::select(vec![",", ";", "\t", "||", "é"]),
        prop::sample::select(vec!['"', '\'']),
        prop::sample::select(vec![None, Some('\\')]),
        prop::sample::select(vec!["\n", "\r\n", "\r"]),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(delimiter, quote, escape, line_end, quotes_all, is_utf16, ends_last_line)| Writer {
            delimiter,
            quote,
            escape,
            line_end,
            quotes_all,
            is_utf16,
            ends_last_line,
        })
}

/// Any text but NUL, with much of what is special.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof!["[a,;|\t\"'\\\\\n\r é😀#-]{0,8}", "[^\0]{0,8}"]
        .prop_filter("no mark", |text| !text.contains('\u{feff}'))
}

fn literals() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        texts().prop_map(Value::from),
        prop::collection::vec(texts(), 0..3).prop_map(Value::from),
        prop::collection::btree_map("[a-z\"]{0,2}", any::<u32>(), 0..3).prop_map(|map| json!(map)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn delimited_text(writer in writers(), rows in prop::collection::vec(prop::collection::vec(texts(), 3), 0..20)) {
        let mut records = vec![["x", "y", "z"].map(str::to_owned).to_vec()];
        records.extend(rows.iter().cloned());
        let file = writer.file(&records);
        let escape = writer.escape.map_or("none".to_owned(), String::from);
        let format = json!({"type": "csv", "delimiter": writer.delimiter, "quote": writer.quote, "escape": escape});
        let loaded = load(&file, &format);
        prop_assert_eq!(loaded.rejections(), Vec::<String>::new());
        let read: Vec<Vec<String>> = loaded
            .rows
            .iter()
            .map(|row| row.iter().map(|(_, value)| value.clone().unwrap_or_else(|| "NULL".to_owned())).collect())
            .collect();
        prop_assert_eq!(&read, &rows);
        prop_assert_eq!((loaded.report.rows, loaded.report.blank), (rows.len() as u64, 0));
    }

    #[test]
    fn lines_of_objects(
        rows in prop::collection::vec(prop::collection::btree_map("[a-f]{1,2}", literals(), 0..5), 0..20),
        line_end in prop::sample::select(vec!["\n", "\r\n", "\n\n"]),
    ) {
        let text: String =
            rows.iter().map(|row| format!("{}{line_end}", serde_json::to_string(row).unwrap())).collect();
        let loaded = load(&text, &json!({"type": "ndjson"}));
        prop_assert_eq!(loaded.rejections(), Vec::<String>::new());
        prop_assert_eq!(loaded.rows.len(), rows.len());
        for (read, row) in loaded.rows.iter().zip(&rows) {
            let written: Map<String, Value> = row.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            for (name, value) in read {
                let expected = match written.get(name) {
                    None | Some(Value::Null) => None,
                    Some(Value::String(text)) => Some(text.clone()),
                    Some(other) => Some(other.to_string()),
                };
                prop_assert_eq!(value, &expected, "{}", name);
            }
            let is_complete = written.keys().all(|name| read.iter().any(|(column, _)| column == name));
            prop_assert!(is_complete);
        }
    }
}
