//! Delimited text.
//!
//! - A field may be quoted; within quotes a quote is doubled, or escaped where an escape is set. A quote within an unquoted
//!   field is an ordinary character.
//! - An empty field is NULL, and the empty string where it is quoted; see [`Format::empty_is_null`].
//! - Blank lines and comments are skipped and counted. A record with too few fields is padded with NULL (or rejected); one
//!   with more fields than columns is rejected unless the surplus is empty.
//! - A record whose quotes are broken is rejected up to its first line end, and reading goes on with the next line, so
//!   that one stray quote does not swallow the rest of the file. What follows until the broken record would have ended
//!   has to have every field.

pub(crate) mod head;
mod scan;
mod split;

use std::sync::Arc;

use memchr::memchr;

use self::{
    head::Head,
    scan::{Dialect, Ending, Field, Record, Scanner},
};
use super::{
    chunk::{At, ChunkBuilder, SizeHint, Slot},
    pipeline::{Block, BlockParser, Parsed, Split},
    stream::decode_single_byte,
};
use crate::{
    ConnectError, RejectReason, Rejected,
    source::{Encoding, Format, Ragged},
};

impl Split for Dialect {
    fn last_border(&self, bytes: &[u8]) -> usize {
        Dialect::last_border(self, bytes)
    }

    fn newline(&self) -> u8 {
        self.newline
    }
}

/// Parses blocks of one file.
#[derive(Clone)]
pub(crate) struct CsvParser {
    dialect: Arc<Dialect>,
    columns: Arc<[String]>,
    encoding: Encoding,
    ragged: Ragged,
    nulls: Arc<[Vec<u8>]>,
    empty_is_null: bool,
    keeps_raw: bool,
    places: Vec<u32>,
    fields: Vec<Field>,
    slots: Vec<Slot>,
    scratch: Vec<u8>,
    hint: SizeHint,
}

impl CsvParser {
    pub(crate) fn new(head: &Head, format: &Format, encoding: Encoding) -> Self {
        Self {
            dialect: Arc::new(head.dialect.clone()),
            columns: head.columns.clone().into(),
            encoding,
            ragged: format.ragged,
            nulls: format.nulls.iter().map(|text| text.as_bytes().to_vec()).collect(),
            empty_is_null: format.empty_is_null,
            keeps_raw: false,
            places: Vec::new(),
            fields: Vec::new(),
            slots: Vec::new(),
            scratch: Vec::new(),
            hint: SizeHint::default(),
        }
    }
}

impl CsvParser {
    /// A parser that keeps the text of each record if `keeps_raw`.
    pub(crate) fn keeping_raw(self, keeps_raw: bool) -> Self {
        Self { keeps_raw, ..self }
    }

    /// Keeps a record as it stands, in the encoding of its fields.
    fn keep(&mut self, builder: &mut ChunkBuilder, number: u64, raw: &[u8]) {
        if !self.keeps_raw {
            return;
        }
        if self.is_text(raw) {
            return builder.keep(number as i64, raw);
        }
        self.scratch.clear();
        decode_single_byte(self.encoding, raw, &mut self.scratch);
        builder.keep(number as i64, &self.scratch);
    }
}

/// What holds for all of a block, so that its records need not be looked at one by one.
struct Purity {
    is_text: bool,
    has_nul: bool,
}

impl BlockParser for CsvParser {
    fn parse(&mut self, block: Block) -> Result<Parsed, ConnectError> {
        let bytes = block.bytes.as_slice();
        let mut places = std::mem::take(&mut self.places);
        let dialect = Arc::clone(&self.dialect);
        dialect.note(bytes, &mut places);
        let purity = Purity { is_text: self.is_text(bytes), has_nul: memchr(0, bytes).is_some() };
        let mut scanner = Scanner::new(&dialect, bytes, &places);
        let mut builder = ChunkBuilder::new(&self.columns, &self.hint);
        let mut parsed = Parsed::default();
        let (mut at, mut line) = (0, block.start.line);
        // Up to here every record has to have all its fields.
        let mut suspect_until = 0;
        while at < bytes.len() {
            if dialect.comment == Some(bytes[at]) {
                let comment = scanner.line(at);
                at = comment.next;
                line += comment.lines;
                parsed.blank += 1;
                continue;
            }
            let mut record = scanner.record(at, &mut self.fields);
            let mut reason = match record.ending {
                Ending::Whole => None,
                Ending::Unclosed => Some(RejectReason::UnclosedQuote),
                Ending::TextAfterQuote => Some(RejectReason::TextAfterQuote),
            };
            if reason.is_some() {
                suspect_until = suspect_until.max(record.next);
                scanner.seek(at);
                record = scanner.line(at);
            } else if self.is_blank(bytes, record) {
                parsed.blank += 1;
                at = record.next;
                line += record.lines;
                continue;
            } else {
                let padded = parsed.padded;
                reason = self.slots(bytes, record, &purity, record.start < suspect_until, &mut parsed);
                // Of a file only the last record can be without a line end.
                if parsed.padded > padded && record.end == record.next {
                    parsed.cut_line = Some(line);
                }
            }
            parsed.records += 1;
            match reason {
                None => {
                    builder.push_row(line as i64, bytes, &self.scratch, &self.slots);
                    self.keep(&mut builder, parsed.records, &bytes[record.start..record.end]);
                }
                Some(reason) => {
                    let offset = block.start.offset + record.start as u64;
                    parsed.rejected.push(Rejected::new(line, offset, reason, &bytes[record.start..record.end]));
                }
            }
            at = record.next;
            line += record.lines;
        }
        self.places = places;
        self.hint = builder.hint();
        parsed.chunk = builder.finish()?;
        Ok(parsed)
    }
}

impl CsvParser {
    fn is_single_byte(&self) -> bool {
        matches!(self.encoding, Encoding::Latin1 | Encoding::Windows1252)
    }

    fn is_text(&self, bytes: &[u8]) -> bool {
        if self.is_single_byte() { bytes.is_ascii() } else { std::str::from_utf8(bytes).is_ok() }
    }

    fn is_blank(&self, bytes: &[u8], record: Record) -> bool {
        match self.fields.as_slice() {
            [only] if !only.quoted => {
                only.start == only.end
                    || (self.columns.len() > 1 && bytes[record.start..record.end].iter().all(|byte| *byte == b' '))
            }
            _ => false,
        }
    }

    /// Fills `slots` from `fields`, or tells why the record is rejected.
    fn slots(
        &mut self,
        bytes: &[u8],
        record: Record,
        purity: &Purity,
        is_suspect: bool,
        parsed: &mut Parsed,
    ) -> Option<RejectReason> {
        let raw = &bytes[record.start..record.end];
        if purity.has_nul && memchr(0, raw).is_some() {
            return Some(RejectReason::NulByte);
        }
        let decode = !purity.is_text && !self.is_text(raw);
        if decode && self.encoding == Encoding::Utf8 {
            return Some(RejectReason::InvalidEncoding);
        }
        let width = self.columns.len();
        if self.fields.len() > width {
            if self.fields[width..].iter().any(|field| field.start != field.end) {
                return Some(RejectReason::TooManyFields);
            }
        } else if self.fields.len() < width {
            if is_suspect || self.ragged == Ragged::Reject {
                return Some(RejectReason::TooFewFields);
            }
            parsed.padded += 1;
        }
        self.slots.clear();
        self.scratch.clear();
        for i in 0..self.fields.len().min(width) {
            let slot = self.slot(bytes, self.fields[i], decode);
            self.slots.push(slot);
        }
        parsed.decoded += u64::from(decode);
        None
    }

    #[inline]
    fn slot(&mut self, bytes: &[u8], field: Field, decode: bool) -> Slot {
        let raw = &bytes[field.start..field.end];
        let is_null = || raw.is_empty() && self.empty_is_null || self.nulls.iter().any(|null| null == raw);
        if !field.quoted && is_null() {
            return Slot { at: At::Null, ..Slot::NULL };
        }
        if !field.escaped && !decode {
            return Slot::base(field.start, field.end);
        }
        let start = self.scratch.len();
        if field.escaped {
            unescape(&self.dialect, raw, field.quoted, &mut self.scratch);
        } else {
            self.scratch.extend_from_slice(raw);
        }
        if decode && !self.scratch[start..].is_ascii() {
            let undecoded = self.scratch.split_off(start);
            decode_single_byte(self.encoding, &undecoded, &mut self.scratch);
        }
        Slot::scratch(start, self.scratch.len())
    }
}

/// Takes doubled quotes (in quoted fields) and escapes out of a field.
fn unescape(dialect: &Dialect, raw: &[u8], quoted: bool, out: &mut Vec<u8>) {
    let mut at = 0;
    while at < raw.len() {
        let byte = Some(raw[at]);
        if byte == dialect.escape || (quoted && byte == dialect.quote) {
            at += 1;
        }
        if let Some(literal) = raw.get(at) {
            out.push(*literal);
        }
        at += 1;
    }
}
