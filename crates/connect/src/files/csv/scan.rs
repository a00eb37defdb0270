//! Finds fields and records in delimited text.
//!
//! A first pass over a block notes where delimiters, quotes, escapes and line ends stand, many bytes at a time; the
//! second pass walks those places only. csv-core, byte by byte, is several times slower and knows neither delimiters of
//! more than one byte nor whether a field was quoted nor where a broken quote began.

/// The special bytes of a file. The delimiter has at least one byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) delimiter: Vec<u8>,
    pub(crate) quote: Option<u8>,
    pub(crate) escape: Option<u8>,
    pub(crate) comment: Option<u8>,
    /// `\n`, with an optional `\r` before it; or `\r`, with an optional `\n` behind it.
    pub(crate) newline: u8,
}

/// One field of a record: its bytes without the quotes around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) quoted: bool,
    /// Whether it holds doubled quotes or escapes.
    pub(crate) escaped: bool,
}

/// How a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Whole,
    /// At the end of the bytes, within quotes.
    Unclosed,
    /// With text behind a closing quote.
    TextAfterQuote,
}

/// One record: its bytes without the line end, and where the next one begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) next: usize,
    pub(crate) ending: Ending,
    /// Line ends passed, its own included.
    pub(crate) lines: u64,
}

/// Bytes compared at once: the compiler turns a loop over so many into a few wide instructions.
const LANES: usize = 32;

fn note<const N: usize>(bytes: &[u8], wanted: [u8; N], places: &mut Vec<u32>) {
    let (blocks, tail) = bytes.as_chunks::<LANES>();
    for (i, block) in blocks.iter().enumerate() {
        let mut hits = [0_u8; LANES];
        for (hit, byte) in hits.iter_mut().zip(block) {
            *hit = wanted.iter().fold(0, |hit, wanted| hit | u8::from(byte == wanted));
        }
        for (j, word) in hits.as_chunks::<8>().0.iter().enumerate() {
            let mut found = u64::from_le_bytes(*word);
            while found != 0 {
                places.push((i * LANES + j * 8) as u32 + found.trailing_zeros() / 8);
                found &= found - 1;
            }
        }
    }
    let start = bytes.len() - tail.len();
    places.extend(tail.iter().enumerate().filter(|(_, b)| wanted.contains(b)).map(|(i, _)| (start + i) as u32));
}

impl Dialect {
    /// The places of all special bytes.
    pub(crate) fn note(&self, bytes: &[u8], places: &mut Vec<u32>) {
        places.clear();
        match (self.delimiter.first().copied(), self.quote, self.escape) {
            (None, ..) => note(bytes, [self.newline], places),
            (Some(delimiter), None, None) => note(bytes, [delimiter, self.newline], places),
            (Some(delimiter), Some(special), None) | (Some(delimiter), None, Some(special)) => {
                note(bytes, [delimiter, self.newline, special], places);
            }
            (Some(delimiter), Some(quote), Some(escape)) => {
                note(bytes, [delimiter, self.newline, quote, escape], places);
            }
        }
    }

    /// The end of a line without its `\r`.
    fn trim(&self, bytes: &[u8], start: usize, end: usize) -> usize {
        if self.newline == b'\n' && end > start && bytes[end - 1] == b'\r' { end - 1 } else { end }
    }

    /// Whether a quoted field ends where `rest` begins.
    pub(super) fn ends_field(&self, rest: &[u8]) -> bool {
        match rest {
            [] => true,
            [b'\r'] if self.newline == b'\n' => true,
            [b'\r', b'\n', ..] => true,
            _ => rest[0] == self.newline || rest.starts_with(&self.delimiter),
        }
    }

    pub(super) fn behind_newline(&self, bytes: &[u8], at: usize) -> usize {
        if self.newline == b'\r' && bytes.get(at + 1) == Some(&b'\n') { at + 2 } else { at + 1 }
    }
}

/// Walks the records of one block.
pub(crate) struct Scanner<'a> {
    dialect: &'a Dialect,
    bytes: &'a [u8],
    places: &'a [u32],
    /// Index of the first place not before the current position.
    at: usize,
}

impl<'a> Scanner<'a> {
    /// `places` are those of `bytes`, see [`Dialect::note`].
    pub(crate) fn new(dialect: &'a Dialect, bytes: &'a [u8], places: &'a [u32]) -> Self {
        Self { dialect, bytes, places, at: 0 }
    }

    /// Moves to any position.
    pub(crate) fn seek(&mut self, position: usize) {
        self.at = self.places.partition_point(|place| (*place as usize) < position);
    }

    /// The physical line that begins at the current position `start`, quotes ignored.
    pub(crate) fn line(&mut self, start: usize) -> Record {
        let ends = self.places[self.at..].iter().position(|place| self.bytes[*place as usize] == self.dialect.newline);
        let (end, next, lines) = match ends {
            Some(ahead) => {
                let place = self.places[self.at + ahead] as usize;
                self.at += ahead + 1;
                (self.dialect.trim(self.bytes, start, place), self.dialect.behind_newline(self.bytes, place), 1)
            }
            None => {
                self.at = self.places.len();
                (self.dialect.trim(self.bytes, start, self.bytes.len()), self.bytes.len(), 0)
            }
        };
        Record { start, end, next, ending: Ending::Whole, lines }
    }

    /// The record that begins at the current position `start`.
    pub(crate) fn record(&mut self, start: usize, fields: &mut Vec<Field>) -> Record {
        fields.clear();
        let mut record = Record { start, end: start, next: start, ending: Ending::Whole, lines: 0 };
        let mut position = start;
        loop {
            let mut field = Field { start: position, end: position, quoted: false, escaped: false };
            let quote = self.dialect.quote;
            if quote.is_some() && self.bytes.get(position).copied() == quote {
                field.quoted = true;
                field.start += 1;
                let Some(close) = self.closing_quote(&mut field, &mut record.lines) else {
                    record.ending = Ending::Unclosed;
                    record.end = self.bytes.len();
                    record.next = self.bytes.len();
                    return record;
                };
                field.end = close;
                position = close + 1;
                if !self.dialect.ends_field(&self.bytes[position..]) {
                    record.ending = Ending::TextAfterQuote;
                }
            }
            let after = self.field_end(position, &mut field, &mut record.lines);
            match after {
                After::Delimiter(next) => {
                    fields.push(field);
                    position = next;
                }
                After::Newline(place) => {
                    record.end = self.dialect.trim(self.bytes, position, place);
                    record.next = self.dialect.behind_newline(self.bytes, place);
                    record.lines += 1;
                    return self.last_field(record, field, position, fields);
                }
                After::End => {
                    record.end = self.dialect.trim(self.bytes, position, self.bytes.len());
                    record.next = self.bytes.len();
                    return self.last_field(record, field, position, fields);
                }
            }
        }
    }

    fn last_field(&self, record: Record, mut field: Field, position: usize, fields: &mut Vec<Field>) -> Record {
        if !field.quoted {
            field.end = record.end.max(position);
        }
        fields.push(field);
        record
    }

    /// From behind the opening quote to the closing one.
    fn closing_quote(&mut self, field: &mut Field, lines: &mut u64) -> Option<usize> {
        // The place of the opening quote itself.
        self.at += 1;
        loop {
            let place = *self.places.get(self.at)? as usize;
            self.at += 1;
            let byte = Some(self.bytes[place]);
            if byte == self.dialect.escape {
                field.escaped = true;
                if self.places.get(self.at).is_some_and(|next| *next as usize == place + 1) {
                    *lines += u64::from(self.bytes[place + 1] == self.dialect.newline);
                    self.at += 1;
                }
            } else if byte == self.dialect.quote {
                if self.bytes.get(place + 1).copied() != self.dialect.quote {
                    return Some(place);
                }
                field.escaped = true;
                self.at += 1;
            } else if byte == Some(self.dialect.newline) {
                *lines += 1;
            }
        }
    }

    /// From within an unquoted field (or behind a closing quote) to its end. Sets the end of an unquoted field.
    fn field_end(&mut self, position: usize, field: &mut Field, lines: &mut u64) -> After {
        let delimiter = &self.dialect.delimiter;
        while let Some(place) = self.places.get(self.at) {
            let place = *place as usize;
            let byte = self.bytes[place];
            self.at += 1;
            if byte == self.dialect.newline {
                return After::Newline(place);
            }
            if byte == delimiter[0] && (delimiter.len() == 1 || self.bytes[place..].starts_with(delimiter)) {
                if !field.quoted {
                    field.end = place;
                }
                let next = place + delimiter.len();
                while delimiter.len() > 1 && self.places.get(self.at).is_some_and(|p| (*p as usize) < next) {
                    self.at += 1;
                }
                return After::Delimiter(next);
            }
            if Some(byte) == self.dialect.escape && place >= position {
                field.escaped |= !field.quoted;
                if self.places.get(self.at).is_some_and(|next| *next as usize == place + 1) {
                    *lines += u64::from(self.bytes[place + 1] == self.dialect.newline);
                    self.at += 1;
                }
            }
        }
        After::End
    }
}

enum After {
    Delimiter(usize),
    Newline(usize),
    End,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_noted() {
        for length in 0..150 {
            let bytes: Vec<u8> = (0..length).map(|i| b"a,b\"\n\xC3"[i * 7 % 11 % 6]).collect();
            let mut places = Vec::new();
            note(&bytes, [b',', b'"', b'\n'], &mut places);
            let expected: Vec<u32> = (0..length as u32).filter(|i| b",\"\n".contains(&bytes[*i as usize])).collect();
            assert_eq!(places, expected, "{length} bytes");
        }
    }
}
