//! A message as a row of bronze.

use super::{
    charset::{self, Charset, Decoded},
    mapping::{Mapping, Source},
    message::Message,
    problem::Problem,
    split::is_line_end,
    time::zone,
};
use crate::{
    Chunk, ConnectError, RejectReason,
    files::{
        chunk::{ChunkBuilder, SizeHint, Slot},
        names::ColumnNames,
    },
};

/// The values of one message, one per column of its mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    mapping: Mapping,
    values: Vec<Option<String>>,
}

impl Row {
    /// The value of a column; `None` if it has none, or there is no such column.
    pub fn get(&self, column: &str) -> Option<&str> {
        self.values.get(self.mapping.position(column)?)?.as_deref()
    }

    /// The values in the order of [`Mapping::columns`].
    pub fn values(&self) -> &[Option<String>] {
        &self.values
    }
}

/// Reads one message as it was received, without its frame: the row it becomes, or why it is none. Its character set is what
/// its byte-order mark or MSH-18 says, unless the bytes say otherwise (`charset_note`).
pub fn read_row(message: &[u8], mapping: &Mapping) -> Result<Row, Problem> {
    Ok(read_decoded(charset::decode(without_frame(message)), mapping)?.0)
}

/// [`read_row`] for a message out of a file, whose character set may be known from elsewhere; and whether it was in another
/// one than UTF-8.
pub(crate) fn read_row_of(message: &[u8], mapping: &Mapping, charset: Option<Charset>) -> Result<(Row, bool), Problem> {
    let decoded = match charset {
        None => charset::decode_part(message),
        Some(charset) => {
            let invalid = || Problem::header(RejectReason::InvalidEncoding, None);
            Decoded { text: charset.decode(message).ok_or_else(invalid)?, charset, note: None }
        }
    };
    read_decoded(decoded, mapping)
}

fn read_decoded(decoded: Decoded<'_>, mapping: &Mapping) -> Result<(Row, bool), Problem> {
    let text = decoded.text.trim_start_matches([' ', '\t', '\u{FEFF}']);
    let message = Message::read(text, decoded.charset)?;
    let zone = message.segments.first().and_then(|header| zone(header.raw(7)));
    let source = Source { message: &message, zone, charset_note: decoded.note.as_deref() };
    let values = mapping.values(&source)?;
    Ok((Row { mapping: mapping.clone(), values }, !decoded.charset.is_utf8()))
}

fn without_frame(message: &[u8]) -> &[u8] {
    let start = message.iter().position(|byte| !is_line_end(*byte)).unwrap_or(message.len());
    &message[start..]
}

/// Collects rows into a [`Chunk`], as a file of them would be. Its text has to stay below 2 GiB.
pub struct Rows {
    builder: ChunkBuilder,
    scratch: Vec<u8>,
    slots: Vec<Slot>,
    bytes: usize,
}

impl Rows {
    /// For rows of `mapping`. `known` are the table's own columns so far, whose spelling is kept.
    pub fn new(mapping: &Mapping, known: Option<&[String]>) -> Self {
        Self::named(&ColumnNames::new(known).header(mapping.columns()), &SizeHint::default())
    }

    /// For columns whose names are settled.
    pub(crate) fn named(names: &[String], hint: &SizeHint) -> Self {
        Self { builder: ChunkBuilder::new(names, hint), scratch: Vec::new(), slots: Vec::new(), bytes: 0 }
    }

    /// Adds a row; `position` becomes its `_position`.
    pub fn push(&mut self, position: i64, row: &Row) {
        self.scratch.clear();
        self.slots.clear();
        for value in &row.values {
            let start = self.scratch.len();
            self.slots.push(match value {
                Some(text) => {
                    self.scratch.extend_from_slice(text.as_bytes());
                    Slot::scratch(start, self.scratch.len())
                }
                None => Slot::NULL,
            });
        }
        self.bytes += self.scratch.len();
        self.builder.push_row(position, &[], &self.scratch, &self.slots);
    }

    /// How many bytes of text the rows hold.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What the next chunk will need.
    pub(crate) fn hint(&self) -> SizeHint {
        self.builder.hint()
    }

    /// The rows, if there are any.
    pub fn finish(self) -> Result<Option<Chunk>, ConnectError> {
        self.builder.finish()
    }
}
