//! Delimited text, byte by byte over the whole file: no blocks, no tables of places, no shortcuts.

use wardlake_connect::{
    RejectReason,
    source::{Encoding, Format, Header, Ragged},
};

use super::{
    expected::{Expected, Outcome, Record, sorted},
    text::record_text,
};

struct Field {
    start: usize,
    end: usize,
    quoted: bool,
}

/// A record as it stands, and where the next one begins.
struct Shape {
    end: usize,
    next: usize,
    broken: Option<RejectReason>,
    fields: Vec<Field>,
}

/// One text and the way it is read.
pub(crate) struct Delimited<'a> {
    text: &'a [u8],
    format: &'a Format,
    delimiter: Vec<u8>,
    encoding: Encoding,
    newline: u8,
}

impl<'a> Delimited<'a> {
    pub(crate) fn new(text: &'a [u8], format: &'a Format, delimiter: &str, encoding: Encoding) -> Self {
        let is_single_byte = matches!(encoding, Encoding::Latin1 | Encoding::Windows1252);
        let delimiter = if is_single_byte && !delimiter.is_ascii() {
            encoding_rs::WINDOWS_1252.encode(delimiter).0.into_owned()
        } else {
            delimiter.as_bytes().to_vec()
        };
        Self { text, format, delimiter, encoding, newline: newline_of(text, format.quote) }
    }

    /// `columns` are the names the reader found; `first_is_data` settles `header: auto`.
    pub(crate) fn records(&self, columns: &[String], first_is_data: bool) -> Expected {
        let mut expected = Expected::default();
        let mut at = 0;
        for _ in 0..self.format.skip_rows {
            at = self.line(at).1;
        }
        let has_header = match self.format.header {
            Header::Yes => true,
            Header::No => false,
            Header::Auto => !first_is_data,
        };
        let (mut is_first, mut suspect_until) = (true, 0);
        let (mut line, mut counted) = (1, 0);
        while at < self.text.len() {
            if Some(self.text[at]) == self.format.comment {
                at = self.line(at).1;
                expected.blank += 1;
                continue;
            }
            let mut shape = self.shape(at);
            if let Some(reason) = shape.broken {
                suspect_until = if is_first && has_header { suspect_until } else { suspect_until.max(shape.next) };
                let (end, next) = self.line(at);
                shape = Shape { end, next, broken: Some(reason), fields: shape.fields };
            }
            let raw = &self.text[at..shape.end];
            let is_empty = |fields: &[Field]| matches!(fields, [only] if !only.quoted && only.start == only.end);
            let is_blank = match (is_first, shape.broken.is_some()) {
                (true, _) => raw.iter().all(|byte| matches!(byte, b' ' | b'\r')),
                (false, true) => false,
                (false, false) => {
                    is_empty(&shape.fields)
                        || (columns.len() > 1
                            && matches!(shape.fields.as_slice(), [only] if !only.quoted)
                            && raw.iter().all(|byte| *byte == b' '))
                }
            };
            if is_blank {
                expected.blank += 1;
            } else if is_first && has_header {
                is_first = false;
            } else {
                is_first = false;
                line += self.lines(counted, at);
                counted = at;
                let outcome = match shape.broken {
                    Some(reason) => Outcome::Rejected(reason),
                    None => self.outcome(raw, &shape.fields, columns, at < suspect_until),
                };
                expected.records.push(Record { line, start: at, end: shape.end, outcome });
            }
            at = shape.next;
        }
        expected
    }

    fn lines(&self, start: usize, end: usize) -> u64 {
        self.text[start..end].iter().filter(|byte| **byte == self.newline).count() as u64
    }

    /// End and next of the physical line at `start`.
    fn line(&self, start: usize) -> (usize, usize) {
        let end = (start..self.text.len()).find(|at| self.text[*at] == self.newline);
        let end = end.unwrap_or(self.text.len());
        (self.trimmed(start, end), self.behind(end))
    }

    fn trimmed(&self, start: usize, end: usize) -> usize {
        if self.newline == b'\n' && end > start && self.text[end - 1] == b'\r' { end - 1 } else { end }
    }

    fn behind(&self, newline: usize) -> usize {
        let is_pair = self.newline == b'\r' && self.text.get(newline + 1) == Some(&b'\n');
        (newline + 1 + usize::from(is_pair)).min(self.text.len())
    }

    fn shape(&self, start: usize) -> Shape {
        let text = self.text;
        let mut shape = Shape { end: start, next: start, broken: None, fields: Vec::new() };
        let mut at = start;
        loop {
            let mut field = Field { start: at, end: at, quoted: false };
            if at < text.len() && Some(text[at]) == self.format.quote {
                let Some(close) = self.closing(at + 1) else {
                    let (end, next) = (text.len(), text.len());
                    return Shape { end, next, broken: Some(RejectReason::UnclosedQuote), ..shape };
                };
                field = Field { start: at + 1, end: close, quoted: true };
                at = close + 1;
                let rest = &text[at..];
                let is_end = rest.is_empty()
                    || rest[0] == self.newline
                    || rest.starts_with(b"\r\n")
                    || (rest == b"\r" && self.newline == b'\n')
                    || rest.starts_with(&self.delimiter);
                if !is_end {
                    shape.broken = Some(RejectReason::TextAfterQuote);
                }
            }
            let behind_quote = at;
            while at < text.len() && text[at] != self.newline && !text[at..].starts_with(&self.delimiter) {
                at += if Some(text[at]) == self.format.escape { 2 } else { 1 };
            }
            at = at.min(text.len());
            let is_delimiter = at < text.len() && text[at] != self.newline;
            let end = if is_delimiter { at } else { self.trimmed(behind_quote, at) };
            if !field.quoted {
                field.end = end;
            }
            shape.fields.push(field);
            if !is_delimiter {
                let next = if at < text.len() { self.behind(at) } else { at };
                return Shape { end, next, ..shape };
            }
            at += self.delimiter.len();
        }
    }

    fn closing(&self, mut at: usize) -> Option<usize> {
        while at < self.text.len() {
            if Some(self.text[at]) == self.format.escape {
                at += 2;
            } else if Some(self.text[at]) != self.format.quote {
                at += 1;
            } else if self.text.get(at + 1).copied() == self.format.quote {
                at += 2;
            } else {
                return Some(at);
            }
        }
        None
    }

    fn outcome(&self, raw: &[u8], fields: &[Field], columns: &[String], is_suspect: bool) -> Outcome {
        if raw.contains(&0) {
            return Outcome::Rejected(RejectReason::NulByte);
        }
        if record_text(raw, self.encoding).is_none() {
            return Outcome::Rejected(RejectReason::InvalidEncoding);
        }
        if fields.iter().skip(columns.len()).any(|field| field.start != field.end) {
            return Outcome::Rejected(RejectReason::TooManyFields);
        }
        if fields.len() < columns.len() && (is_suspect || self.format.ragged == Ragged::Reject) {
            return Outcome::Rejected(RejectReason::TooFewFields);
        }
        // A record is decoded as a whole: one field that is not UTF-8 tells that the others are not either.
        let is_utf8 = std::str::from_utf8(raw).is_ok();
        let encoding = if is_utf8 || self.encoding != Encoding::Auto { self.encoding } else { Encoding::Windows1252 };
        let values = columns.iter().zip(fields).filter_map(|(name, field)| {
            let written = &self.text[field.start..field.end];
            let is_empty = written.is_empty() && self.format.empty_is_null;
            if !field.quoted && (is_empty || self.format.nulls.iter().any(|null| null.as_bytes() == written)) {
                return None;
            }
            let value = record_text(&self.unescaped(written, field.quoted), encoding);
            Some((name.clone(), value.unwrap_or_default()))
        });
        Outcome::Row(sorted(values.collect()))
    }

    fn unescaped(&self, written: &[u8], quoted: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let mut bytes = written.iter();
        while let Some(byte) = bytes.next() {
            if Some(*byte) == self.format.escape || (quoted && Some(*byte) == self.format.quote) {
                out.extend(bytes.next());
            } else {
                out.push(*byte);
            }
        }
        out
    }
}

/// `\r` if the first line end outside of quotes is one and no `\n` follows it.
fn newline_of(text: &[u8], quote: Option<u8>) -> u8 {
    let mut in_quotes = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if Some(*byte) == quote => in_quotes = !in_quotes,
            b'\r' if !in_quotes => {
                return if text.get(at + 1).is_some_and(|next| *next != b'\n') { b'\r' } else { b'\n' };
            }
            b'\n' if !in_quotes => return b'\n',
            _ => {}
        }
    }
    b'\n'
}
