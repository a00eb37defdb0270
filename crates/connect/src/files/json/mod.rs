//! JSON, one object per record: lines of objects, or a document.
//!
//! - Every key is a column. Strings are unescaped; numbers and booleans stay as they are written (`1.50`); null is NULL;
//!   nested objects and arrays are their JSON text as written.
//! - A key that is missing is NULL. A key that appears later is a new column from its block on.
//! - Keys that differ in case only are one column: its value is the first that is not null, and each further one becomes a
//!   column of its own, under the key and a number.
//! - An object that names a key twice is rejected: either value may be the right one. So is one with a key that can be no name of
//!   a column, and one that names more new columns than a table takes.
//! - JSON is UTF-8. Only where the settings name another encoding are records decoded.

pub(crate) mod document;
mod seek;
pub(crate) mod text;

use std::{collections::HashMap, sync::Arc};

use memchr::memchr;
use serde::de::IgnoredAny;

use wardlake_core::columns::{MOST_NEW_COLUMNS, folded, is_column_name};

use self::text::{is_number, is_space, skip_space, string_end, unescape, value_end};
use super::{
    chunk::{ChunkBuilder, SizeHint, Slot},
    names::ColumnNames,
    pipeline::{Block, BlockParser, Parsed, Split},
    stream::decode_single_byte,
};
use crate::{
    ConnectError, RejectReason, Rejected,
    source::{Encoding, Format},
};

/// Text of one object per line.
pub(crate) struct Lines;

impl Split for Lines {
    fn last_border(&self, bytes: &[u8]) -> usize {
        memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1)
    }

    fn newline(&self) -> u8 {
        b'\n'
    }
}

/// Parses blocks of one file.
#[derive(Clone)]
pub(crate) struct JsonParser {
    names: ColumnNames,
    encoding: Encoding,
    nulls: Arc<[Vec<u8>]>,
    is_document: bool,
    keeps_raw: bool,
    hint: SizeHint,
}

impl JsonParser {
    pub(crate) fn new(names: ColumnNames, format: &Format, encoding: Encoding, is_document: bool) -> Self {
        let nulls = format.nulls.iter().map(|text| text.as_bytes().to_vec()).collect();
        Self { names, encoding, nulls, is_document, keeps_raw: false, hint: SizeHint::default() }
    }

    /// A parser that keeps the text of each record if `keeps_raw`.
    pub(crate) fn keeping_raw(self, keeps_raw: bool) -> Self {
        Self { keeps_raw, ..self }
    }
}

impl BlockParser for JsonParser {
    fn parse(&mut self, block: Block) -> Result<Parsed, ConnectError> {
        let bytes = block.bytes.as_slice();
        let is_single_byte = matches!(self.encoding, Encoding::Latin1 | Encoding::Windows1252);
        let is_text = |bytes: &[u8]| if is_single_byte { bytes.is_ascii() } else { std::str::from_utf8(bytes).is_ok() };
        let block_is_text = is_text(bytes);
        let block_has_nul = memchr(0, bytes).is_some();
        let mut rows = Rows::new(&self.names, &self.nulls, &self.hint);
        let mut parsed = Parsed::default();
        let mut decoded = Vec::new();
        let mut record = |rows: &mut Rows<'_>, parsed: &mut Parsed, line: u64, start: usize, end: usize| {
            let raw = &bytes[start..end];
            parsed.records += 1;
            let mut is_decoded = false;
            let result = if block_has_nul && memchr(0, raw).is_some() {
                Err(RejectReason::NulByte)
            } else if block_is_text || is_text(raw) {
                rows.record(line, bytes, start, end)
            } else if !is_single_byte {
                Err(RejectReason::InvalidEncoding)
            } else {
                decoded.clear();
                decode_single_byte(self.encoding, raw, &mut decoded);
                parsed.decoded += 1;
                is_decoded = true;
                rows.record(line, &decoded, 0, decoded.len())
            };
            if result.is_ok() && self.keeps_raw {
                rows.builder.keep(parsed.records as i64, if is_decoded { &decoded[..] } else { raw });
            }
            if let Err(reason) = result {
                parsed.rejected.push(Rejected::new(line, block.start.offset + start as u64, reason, raw));
            }
        };
        if self.is_document {
            for (i, (start, end)) in block.spans.iter().enumerate() {
                record(&mut rows, &mut parsed, block.start.line + i as u64, *start as usize, *end as usize);
            }
        } else {
            let (mut at, mut line) = (0, block.start.line);
            while at < bytes.len() {
                let newline = memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |ahead| at + ahead);
                let end = if newline > at && bytes[newline - 1] == b'\r' { newline - 1 } else { newline };
                if bytes[at..end].iter().all(|byte| is_space(*byte)) {
                    parsed.blank += 1;
                } else {
                    record(&mut rows, &mut parsed, line, at, end);
                }
                at = newline + 1;
                line += 1;
            }
        }
        let brings_columns = rows.new_columns > 0;
        let hint = rows.builder.hint();
        parsed.chunk = rows.builder.finish()?;
        self.hint = hint;
        parsed.block = brings_columns.then_some(block);
        Ok(parsed)
    }
}

/// Holds the blocks of one file to one set of columns. Blocks are parsed side by side, so that none knows the names that another one
/// found: a block whose names do not go with those before it is parsed once more.
pub(crate) struct InFileOrder {
    parser: JsonParser,
}

impl InFileOrder {
    pub(crate) fn new(parser: &JsonParser) -> Self {
        Self { parser: parser.clone() }
    }

    /// The next block of the file, as if all before it had been parsed by the same parser.
    pub(crate) fn settle(&mut self, mut parsed: Parsed) -> Result<Parsed, ConnectError> {
        let Some(block) = parsed.block.take() else { return Ok(parsed) };
        if let Some(chunk) = &parsed.chunk
            && !self.parser.names.admits(&chunk.columns)
        {
            parsed = self.parser.parse(block)?;
            parsed.block = None;
        }
        if let Some(chunk) = &parsed.chunk {
            self.parser.names.admit(&chunk.columns);
        }
        Ok(parsed)
    }
}

/// A key, and the column it stands for.
struct Key {
    /// As it stands in the text.
    raw: Box<[u8]>,
    /// As it is meant.
    name: String,
    column: usize,
}

impl Key {
    /// The name of its column, but for the spelling. A column needs a name.
    fn column_name(name: &str) -> &str {
        if name.trim().is_empty() { "column" } else { name }
    }
}

/// The rows of one block.
struct Rows<'p> {
    names: &'p ColumnNames,
    nulls: &'p [Vec<u8>],
    builder: ChunkBuilder,
    /// In first-seen order.
    keys: Vec<Key>,
    key_index: HashMap<Box<[u8]>, usize>,
    /// By the folded name.
    columns: HashMap<String, usize>,
    /// Columns that are not known.
    new_columns: usize,
    /// Per column the number of the last record that has it, and the first key that named it there.
    seen: Vec<u64>,
    owners: Vec<usize>,
    /// Keys of the record whose column another one named before them.
    further: Vec<(usize, Slot)>,
    records: u64,
    slots: Vec<Slot>,
    scratch: Vec<u8>,
}

impl<'p> Rows<'p> {
    fn new(names: &'p ColumnNames, nulls: &'p [Vec<u8>], hint: &SizeHint) -> Self {
        Self {
            names,
            nulls,
            builder: ChunkBuilder::new(&[], hint),
            keys: Vec::new(),
            key_index: HashMap::new(),
            columns: HashMap::new(),
            new_columns: 0,
            seen: Vec::new(),
            owners: Vec::new(),
            further: Vec::new(),
            records: 0,
            slots: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Adds the object in `base[start..end]`, or tells why it is rejected and leaves no trace of it.
    fn record(&mut self, position: u64, base: &[u8], start: usize, end: usize) -> Result<(), RejectReason> {
        self.records += 1;
        self.scratch.clear();
        self.further.clear();
        self.slots.clear();
        self.slots.resize(self.seen.len(), Slot::NULL);
        let (keys, columns) = (self.keys.len(), self.seen.len());
        let result = match self.object(&base[..end], start) {
            Ok(()) => self.tell_apart(),
            Err(reason) => Err(reason),
        };
        match result {
            Ok(()) => self.builder.push_row(position as i64, base, &self.scratch, &self.slots),
            Err(_) => self.forget(keys, columns),
        }
        result
    }

    fn forget(&mut self, keys: usize, columns: usize) {
        for key in self.keys.drain(keys..) {
            self.key_index.remove(&key.raw);
        }
        if self.seen.len() > columns {
            for name in &self.builder.names()[columns..] {
                self.columns.remove(&folded(name));
                self.new_columns -= usize::from(!self.names.knows(name));
            }
            self.seen.truncate(columns);
            self.owners.truncate(columns);
            self.builder.truncate_columns(columns);
        }
    }

    fn object(&mut self, text: &[u8], start: usize) -> Result<(), RejectReason> {
        let mut at = skip_space(text, start);
        if text.get(at) != Some(&b'{') {
            let is_json = serde_json::from_slice::<IgnoredAny>(&text[at..]).is_ok();
            return Err(if is_json { RejectReason::NotAnObject } else { RejectReason::InvalidJson });
        }
        at = skip_space(text, at + 1);
        let mut expected = 0;
        if text.get(at) == Some(&b'}') {
            at += 1;
        } else {
            loop {
                at = self.member(text, at, &mut expected)?;
                at = skip_space(text, at);
                match text.get(at) {
                    Some(b',') => at = skip_space(text, at + 1),
                    Some(b'}') => {
                        at += 1;
                        break;
                    }
                    _ => return Err(RejectReason::InvalidJson),
                }
            }
        }
        if skip_space(text, at) == text.len() { Ok(()) } else { Err(RejectReason::InvalidJson) }
    }

    /// Reads `"key": value` and returns the place behind it.
    fn member(&mut self, text: &[u8], at: usize, expected: &mut usize) -> Result<usize, RejectReason> {
        if text.get(at) != Some(&b'"') {
            return Err(RejectReason::InvalidJson);
        }
        let (close, _) = string_end(text, at + 1).ok_or(RejectReason::InvalidJson)?;
        let key = self.key(&text[at + 1..close], expected)?;
        let column = self.keys[key].column;
        let colon = skip_space(text, close + 1);
        if text.get(colon) != Some(&b':') {
            return Err(RejectReason::InvalidJson);
        }
        let is_further = self.seen[column] == self.records;
        if is_further && self.is_named_again(key, column) {
            return Err(RejectReason::DuplicateKey);
        }
        if self.further.len() > MOST_NEW_COLUMNS {
            return Err(RejectReason::TooManyColumns);
        }
        let start = skip_space(text, colon + 1);
        let (slot, end) = self.value(text, start)?;
        if is_further {
            self.further.push((key, slot));
        } else {
            self.seen[column] = self.records;
            self.owners[column] = key;
            self.slots[column] = slot;
        }
        Ok(end)
    }

    /// Whether the record has the very same key already.
    fn is_named_again(&self, key: usize, column: usize) -> bool {
        let name = &self.keys[key].name;
        let mut before = self.further.iter().map(|(further, _)| *further).chain([self.owners[column]]);
        before.any(|other| self.keys[other].name == *name)
    }

    /// Gives the values of keys that differ in case only their columns.
    fn tell_apart(&mut self) -> Result<(), RejectReason> {
        if self.further.is_empty() {
            return Ok(());
        }
        let mut numbers: HashMap<String, u64> = HashMap::new();
        for (key, slot) in std::mem::take(&mut self.further) {
            let Key { name, column, .. } = &self.keys[key];
            let (name, column) = (Key::column_name(name).to_owned(), *column);
            if slot.is_null() {
                continue;
            }
            if self.slots[column].is_null() {
                self.slots[column] = slot;
                continue;
            }
            let number = numbers.entry(folded(&name)).or_insert(1);
            let apart = loop {
                *number += 1;
                let apart = self.add_column(&format!("{name}_{number}"))?;
                if self.seen[apart] != self.records {
                    break apart;
                }
            };
            self.seen[apart] = self.records;
            self.slots[apart] = slot;
        }
        Ok(())
    }

    #[inline]
    fn value(&mut self, text: &[u8], start: usize) -> Result<(Slot, usize), RejectReason> {
        match text.get(start) {
            Some(b'"') => {
                let (close, escaped) = string_end(text, start + 1).ok_or(RejectReason::InvalidJson)?;
                let mut slot = Slot::base(start + 1, close);
                let mut string = &text[start + 1..close];
                if escaped {
                    let begin = self.scratch.len();
                    unescape(string, &mut self.scratch)?;
                    slot = Slot::scratch(begin, self.scratch.len());
                    string = &self.scratch[begin..];
                }
                if !self.nulls.is_empty() && self.nulls.iter().any(|null| null == string) {
                    slot = Slot::NULL;
                }
                Ok((slot, close + 1))
            }
            Some(byte) => {
                let end = value_end(text, start, true).ok_or(RejectReason::InvalidJson)?;
                let value = &text[start..end];
                let is_valid = match byte {
                    b'{' | b'[' => serde_json::from_slice::<IgnoredAny>(value).is_ok(),
                    _ => matches!(value, b"null" | b"true" | b"false") || is_number(value),
                };
                match (is_valid, value) {
                    (false, _) => Err(RejectReason::InvalidJson),
                    (true, b"null") => Ok((Slot::NULL, end)),
                    (true, _) => Ok((Slot::base(start, end), end)),
                }
            }
            None => Err(RejectReason::InvalidJson),
        }
    }

    /// The number of a key. Records mostly name the same keys in the same order, so the next one is tried first.
    #[inline]
    fn key(&mut self, raw: &[u8], expected: &mut usize) -> Result<usize, RejectReason> {
        let index = match self.keys.get(*expected) {
            Some(next) if *next.raw == *raw => *expected,
            _ => match self.key_index.get(raw) {
                Some(index) => *index,
                None => self.add_key(raw)?,
            },
        };
        *expected = index + 1;
        Ok(index)
    }

    fn add_key(&mut self, raw: &[u8]) -> Result<usize, RejectReason> {
        let mut name = Vec::new();
        unescape(raw, &mut name)?;
        let name = String::from_utf8(name).map_err(|_| RejectReason::InvalidEncoding)?;
        let column = self.add_column(Key::column_name(&name))?;
        let index = self.keys.len();
        self.keys.push(Key { raw: raw.into(), name, column });
        self.key_index.insert(raw.into(), index);
        Ok(index)
    }

    /// The column of a name, which may be new.
    fn add_column(&mut self, name: &str) -> Result<usize, RejectReason> {
        let names = self.names;
        let name = names.resolve(name);
        let folded = folded(&name);
        if let Some(column) = self.columns.get(&folded) {
            return Ok(*column);
        }
        if !names.knows(&name) {
            if !is_column_name(&name) {
                return Err(RejectReason::ColumnName);
            }
            if self.new_columns >= names.room() {
                return Err(RejectReason::TooManyColumns);
            }
            self.new_columns += 1;
        }
        let column = self.builder.add_column(name.into_owned());
        self.columns.insert(folded, column);
        self.seen.push(0);
        self.owners.push(0);
        self.slots.push(Slot::NULL);
        Ok(column)
    }
}
