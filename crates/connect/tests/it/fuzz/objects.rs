//! Records of JSON as serde_json understands them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use wardlake_connect::{
    RejectReason,
    source::{Encoding, Format},
};
use wardlake_core::lineage;

use super::{
    expected::{Expected, Outcome, Record, sorted},
    text::record_text,
};

/// The members of an object, every one of them.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Read)
    }
}

/// The names of the columns so far: the first spelling stays.
#[derive(Default)]
struct Spelled(Vec<String>);

impl Spelled {
    fn name(&self, name: &str) -> Option<&String> {
        self.0.iter().find(|known| known.to_lowercase() == name.to_lowercase())
    }

    /// The fields of a row under the names of their columns, once none is rejected.
    fn row(&mut self, fields: Vec<(String, Option<String>)>) -> Outcome {
        let mut row = Vec::new();
        for (name, value) in fields {
            if self.name(&name).is_none() {
                self.0.push(name.clone());
            }
            let name = self.name(&name).cloned().unwrap_or(name);
            row.extend(value.map(|value| (name, value)));
        }
        Outcome::Row(sorted(row))
    }
}

/// One object per line.
pub(crate) fn lines(text: &[u8], format: &Format, encoding: Encoding) -> Expected {
    let mut expected = Expected::default();
    let mut names = Spelled::default();
    let mut start = 0;
    for (number, whole) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let raw = whole.strip_suffix(b"\n").unwrap_or(whole);
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        if raw.iter().all(|byte| b" \t\r\n".contains(byte)) {
            expected.blank += 1;
        } else {
            let outcome = record(raw, format, encoding, &mut names);
            expected.records.push(Record { line: number as u64 + 1, start, end: start + raw.len(), outcome });
        }
        start += whole.len();
    }
    expected
}

/// What a document holds.
pub(crate) enum Document {
    Records(Expected),
    /// A document without records.
    None,
    /// Nothing can be said: it is not JSON, or not so that two readers have to agree.
    Unknown,
}

/// The records of a document that is JSON by the letter.
pub(crate) fn document(text: &[u8], format: &Format, encoding: Encoding) -> Document {
    let Some(text) = std::str::from_utf8(text).ok().filter(|text| text.is_ascii() || encoding != Encoding::Latin1)
    else {
        return Document::Unknown;
    };
    let Ok(values) = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>().collect::<Result<Vec<_>, _>>()
    else {
        return Document::Unknown;
    };
    let Some((first, behind)) = values.split_first() else { return Document::None };
    let pointer = format.records.as_deref().unwrap_or_default();
    if !pointer.is_empty() {
        return at_pointer(text, first, pointer, behind);
    }
    match first.get().as_bytes()[0] {
        b'[' => {
            let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(first.get()) else { return Document::Unknown };
            let mut expected = records(text, &items, format, encoding);
            if let Some(next) = behind.first() {
                let (start, line) = (place(text, next), items.len() as u64 + 1);
                let outcome = Outcome::Rejected(RejectReason::InvalidJson);
                expected.records.push(Record { line, start, end: text.len(), outcome });
            }
            Document::Records(expected)
        }
        b'{' => Document::Records(records(text, &values, format, encoding)),
        _ => Document::None,
    }
}

/// Only how many records there are, and of which kind.
fn at_pointer(text: &str, first: &RawValue, pointer: &str, behind: &[&RawValue]) -> Document {
    let key = pointer.rsplit('/').next().unwrap_or_default();
    let is_plain = behind.is_empty() && !text.contains('\\') && text.matches(key).count() == 1;
    let Ok(value) = serde_json::from_str::<Value>(first.get()) else { return Document::Unknown };
    match value.pointer(pointer) {
        _ if !is_plain => Document::Unknown,
        Some(Value::Array(items)) if items.is_empty() => Document::Records(Expected::default()),
        Some(Value::Array(_) | Value::Object(_)) => Document::Unknown,
        _ => Document::None,
    }
}

fn place(text: &str, value: &RawValue) -> usize {
    value.get().as_ptr() as usize - text.as_ptr() as usize
}

fn records(text: &str, values: &[&RawValue], format: &Format, encoding: Encoding) -> Expected {
    let mut names = Spelled::default();
    let record = |(i, value): (usize, &&RawValue)| {
        let start = place(text, value);
        let outcome = record(value.get().as_bytes(), format, encoding, &mut names);
        Record { line: i as u64 + 1, start, end: start + value.get().len(), outcome }
    };
    Expected { records: values.iter().enumerate().map(record).collect(), blank: 0 }
}

fn record(raw: &[u8], format: &Format, encoding: Encoding, names: &mut Spelled) -> Outcome {
    if raw.contains(&0) {
        return Outcome::Rejected(RejectReason::NulByte);
    }
    // JSON is UTF-8 where the settings name no other encoding.
    let encoding = if encoding == Encoding::Auto { Encoding::Utf8 } else { encoding };
    match record_text(raw, encoding) {
        Some(text) => object(&text, format, names),
        None => Outcome::Rejected(RejectReason::InvalidEncoding),
    }
}

fn object(text: &str, format: &Format, names: &mut Spelled) -> Outcome {
    let Ok(Members(members)) = serde_json::from_str::<Members<'_>>(text) else {
        let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
        let is_object = text.trim_start().starts_with('{');
        let lenient = text.contains(|c: char| c < ' ');
        return match (is_json, is_object) {
            (true, false) => Outcome::Rejected(RejectReason::NotAnObject),
            (false, true) if lenient => Outcome::Lenient,
            _ => Outcome::RejectedForSomeReason,
        };
    };
    let mut keys: Vec<String> = Vec::new();
    let mut fields: Vec<(String, Option<String>)> = Vec::new();
    let mut further: Vec<(String, String, Option<String>)> = Vec::new();
    for (key, value) in members {
        if key.contains(char::is_control) || key.len() > 1024 {
            return Outcome::RejectedForSomeReason;
        }
        if keys.contains(&key) {
            return Outcome::Rejected(RejectReason::DuplicateKey);
        }
        let value = match value.get() {
            "null" => None,
            raw if raw.starts_with('"') => match serde_json::from_str::<String>(raw) {
                Ok(text) if !text.contains('\0') => Some(text).filter(|text| !format.nulls.contains(text)),
                _ => return Outcome::RejectedForSomeReason,
            },
            raw => Some(raw.to_owned()),
        };
        let base = if key.trim().is_empty() { "column".to_owned() } else { key.clone() };
        let name = match lineage::is_lineage(&base) {
            true => format!("{base}_2"),
            false => base.clone(),
        };
        keys.push(key);
        match fields.iter().any(|(other, _)| other.to_lowercase() == name.to_lowercase()) {
            true => further.push((base, name, value)),
            false => fields.push((name, value)),
        }
    }
    // Keys that differ in case only are one column: the first value is its own, each further one gets a number.
    for (base, name, value) in further.into_iter().filter(|(.., value)| value.is_some()) {
        let is_taken = |fields: &[(String, Option<String>)], name: &str| {
            fields.iter().position(|(other, _)| other.to_lowercase() == name.to_lowercase())
        };
        match is_taken(&fields, &name) {
            Some(at) if fields[at].1.is_none() => fields[at].1 = value,
            _ => {
                let mut numbered = (2..).map(|number| format!("{base}_{number}"));
                let free = numbered.find(|name| is_taken(&fields, name).is_none());
                fields.extend(free.map(|name| (name, value)));
            }
        }
    }
    names.row(fields)
}
