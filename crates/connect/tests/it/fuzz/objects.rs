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

/// One object per line.
pub(crate) fn lines(text: &[u8], format: &Format, encoding: Encoding) -> Expected {
    let mut expected = Expected::default();
    let mut start = 0;
    for (number, whole) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let raw = whole.strip_suffix(b"\n").unwrap_or(whole);
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        if raw.iter().all(|byte| b" \t\r\n".contains(byte)) {
            expected.blank += 1;
        } else {
            let outcome = record(raw, format, encoding);
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
    let record = |(i, value): (usize, &&RawValue)| {
        let start = place(text, value);
        let outcome = record(value.get().as_bytes(), format, encoding);
        Record { line: i as u64 + 1, start, end: start + value.get().len(), outcome }
    };
    Expected { records: values.iter().enumerate().map(record).collect(), blank: 0 }
}

fn record(raw: &[u8], format: &Format, encoding: Encoding) -> Outcome {
    if raw.contains(&0) {
        return Outcome::Rejected(RejectReason::NulByte);
    }
    match record_text(raw, encoding) {
        Some(text) => object(&text, format),
        None => Outcome::Rejected(RejectReason::InvalidEncoding),
    }
}

fn object(text: &str, format: &Format) -> Outcome {
    let Ok(Members(members)) = serde_json::from_str::<Members<'_>>(text) else {
        let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
        let is_object = text.trim_start().starts_with('{');
        let lenient = text.contains(|c: char| c < ' ') || text.contains("NaN") || text.contains("Infinity");
        return match (is_json, is_object) {
            (true, false) => Outcome::Rejected(RejectReason::NotAnObject),
            (false, true) if lenient => Outcome::Lenient,
            _ => Outcome::RejectedForSomeReason,
        };
    };
    let mut fields: Vec<(String, Option<String>)> = Vec::new();
    for (key, value) in members {
        let name = match key.as_str() {
            key if key.contains('\0') => return Outcome::RejectedForSomeReason,
            key if key.trim().is_empty() => "column".to_owned(),
            key if lineage::ALL.iter().any(|own| own.eq_ignore_ascii_case(key)) => format!("{key}_2"),
            key => key.to_owned(),
        };
        if fields.iter().any(|(other, _)| *other == name) {
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
        fields.push((name, value));
    }
    Outcome::Row(sorted(fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()))
}
