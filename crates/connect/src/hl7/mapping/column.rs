//! One column and its value in a message.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Map, Value};

use super::super::{
    message::Message,
    path::{Item, Path},
    problem::{Location, Problem},
    time::with_zone,
};
use crate::RejectReason;

/// A message and what its values are taken with.
pub(crate) struct Source<'s> {
    pub(crate) message: &'s Message<'s>,
    /// The zone of MSH-7.
    pub(crate) zone: Option<&'s str>,
    pub(crate) charset_note: Option<&'s str>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) from: From,
    /// The segment without which there is no value.
    pub(crate) when: Option<String>,
    /// Whether a message without a value is rejected.
    pub(crate) is_required: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum From {
    Message,
    CharsetNote,
    /// The first place that is filled.
    First {
        paths: Vec<Path>,
        codes: Option<Codes>,
        is_time: bool,
    },
    /// All places, an empty one as no text; NULL where all are.
    Join {
        paths: Vec<Path>,
        with: String,
    },
    /// A JSON object; NULL where all of its fields are.
    Object(Vec<Column>),
    /// A JSON array with an object, its number in it as `item`, or without `fields` the text as written, for each segment of
    /// the name.
    List {
        segments: String,
        fields: Option<Vec<Column>>,
    },
}

/// What the codes of a table mean. A code that is not in it stays as it is, unless the table is closed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Codes {
    /// In capital letters: senders do not agree.
    pub(crate) meanings: Arc<HashMap<String, String>>,
    pub(crate) is_closed: bool,
}

impl Column {
    pub(crate) fn new(name: String, from: From) -> Self {
        Self { name, from, when: None, is_required: false }
    }

    /// The value in a message, or in an item of a list.
    pub(crate) fn value(&self, source: &Source<'_>, item: Option<Item>) -> Result<Option<String>, Problem> {
        let message = source.message;
        let is_there = self.when.as_deref().is_none_or(|name| message.named(name).next().is_some());
        let value = match &self.from {
            _ if !is_there => None,
            From::Message => Some(message.text()),
            From::CharsetNote => source.charset_note.map(str::to_owned),
            From::First { paths, codes, is_time } => first(paths, codes.as_ref(), *is_time, source, item)?,
            From::Join { paths, with } => {
                let parts: Vec<_> = paths.iter().map(|path| path.find(message, item)).collect();
                let text =
                    || parts.iter().map(|part| part.as_deref().unwrap_or_default()).collect::<Vec<_>>().join(with);
                parts.iter().any(Option::is_some).then(text)
            }
            From::Object(fields) => {
                let fields = object(fields, source, item)?;
                (!fields.is_empty()).then(|| Value::Object(fields).to_string())
            }
            From::List { segments, fields } => list(segments, fields.as_deref(), source)?,
        };
        match value {
            None if self.is_required => Err(Problem::new(RejectReason::Hl7RequiredField, self.place())),
            value => Ok(value),
        }
    }

    fn place(&self) -> Location {
        match &self.from {
            From::First { paths, .. } | From::Join { paths, .. } if !paths.is_empty() => place(&paths[0]),
            From::List { segments, .. } => Location { segment: segments.clone(), sequence: 1, field: None },
            _ => Location::header(None),
        }
    }
}

fn place(path: &Path) -> Location {
    Location { segment: path.segment.clone(), sequence: path.sequence(), field: Some(path.field) }
}

fn first(
    paths: &[Path],
    codes: Option<&Codes>,
    is_time: bool,
    source: &Source<'_>,
    item: Option<Item>,
) -> Result<Option<String>, Problem> {
    let found = paths.iter().find_map(|path| path.find(source.message, item).map(|text| (path, text)));
    let Some((path, text)) = found else { return Ok(None) };
    if is_time {
        return Ok(Some(with_zone(text, source.zone).into_owned()));
    }
    let Some(codes) = codes else { return Ok(Some(text.into_owned())) };
    match codes.meanings.get(&text.trim().to_ascii_uppercase()) {
        Some(meaning) => Ok(Some(meaning.clone())),
        None if codes.is_closed => Err(Problem::new(RejectReason::Hl7TableValue, place(path))),
        None => Ok(Some(text.into_owned())),
    }
}

/// The fields that have a value.
fn object(fields: &[Column], source: &Source<'_>, item: Option<Item>) -> Result<Map<String, Value>, Problem> {
    let mut values = Map::new();
    for field in fields {
        if let Some(value) = field.value(source, item)? {
            values.insert(field.name.clone(), Value::String(value));
        }
    }
    Ok(values)
}

fn list(segments: &str, fields: Option<&[Column]>, source: &Source<'_>) -> Result<Option<String>, Problem> {
    let message = source.message;
    let mut items = Vec::new();
    let mut found = message.named(segments).peekable();
    while let Some((at, segment)) = found.next() {
        let next = found.peek().map_or(message.segments.len(), |(next, _)| *next);
        items.push(match fields {
            Some(fields) => {
                // Its number in the list, which is all that some items have to be told apart by.
                let mut values = Map::from_iter([("item".to_owned(), Value::String((items.len() + 1).to_string()))]);
                values.extend(object(fields, source, Some(Item { at, next }))?);
                Value::Object(values)
            }
            None => Value::String(segment.text.to_owned()),
        });
    }
    Ok((!items.is_empty()).then(|| Value::Array(items).to_string()))
}
