//! Files of HL7 v2 messages, one or many, with or without the segments of a batch, ended in any way.
//!
//! - Each message is a row; its position is the line of its header. Every row has every column of the mapping.
//! - A message that cannot be read, and text outside of messages, is a rejected record.
//! - FHS, BHS, BTS and FTS are no rows. A trailer that counts otherwise is a rejected record.
//! - Without an `encoding` each message is in the character set that its own MSH-18 names.

mod blocks;

use encoding_rs::WINDOWS_1252;

pub(crate) use self::blocks::MessageBlocks;
use super::{
    chunk::SizeHint,
    names::ColumnNames,
    pipeline::{Block, BlockParser, Parsed},
};
use crate::{
    ConnectError, Rejected,
    hl7::{
        Mapping, Rows,
        charset::Charset,
        read_row_of,
        split::{Kind, LineCounter, is_blank, pieces},
    },
    source::Encoding,
};

/// Whether a text is of messages beyond doubt: it begins with a header in the usual delimiters.
pub(crate) fn is_beginning(text: &[u8]) -> bool {
    let start = text.iter().position(|byte| !is_blank(*byte)).unwrap_or_default();
    [&b"MSH"[..], b"FHS", b"BHS"].iter().any(|name| text[start..].starts_with(&[name, &b"|^~\\&"[..]].concat()))
}

/// Parses blocks of one file.
#[derive(Clone)]
pub(crate) struct MessageParser {
    mapping: Mapping,
    names: Vec<String>,
    charset: Option<Charset>,
    hint: SizeHint,
}

impl MessageParser {
    pub(crate) fn new(names: &ColumnNames, mapping: &Mapping, encoding: Encoding) -> Self {
        let charset = match encoding {
            Encoding::Utf8 => Some(Charset::UTF_8),
            Encoding::Latin1 | Encoding::Windows1252 => Some(Charset::new(WINDOWS_1252)),
            _ => None,
        };
        let names = names.header(mapping.columns());
        Self { mapping: mapping.clone(), names, charset, hint: SizeHint::default() }
    }

    /// The columns of the file.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }
}

impl BlockParser for MessageParser {
    fn parse(&mut self, block: Block) -> Result<Parsed, ConnectError> {
        let mut rows = Rows::named(&self.names, &self.hint);
        let mut parsed = Parsed::default();
        let mut lines = LineCounter::new(block.start.line);
        let mut at = 0;
        for piece in pieces(&block.bytes, true).pieces {
            lines.pass(&block.bytes[at..piece.start]);
            at = piece.start;
            if piece.kind == Kind::Envelope {
                parsed.blank += 1;
                continue;
            }
            let bytes = &block.bytes[piece.start..piece.end];
            match read_row_of(bytes, &self.mapping, self.charset) {
                Ok((row, is_decoded)) => {
                    parsed.decoded += u64::from(is_decoded);
                    rows.push(lines.line as i64, &row);
                }
                Err(problem) => {
                    let offset = block.start.offset + piece.start as u64;
                    parsed.rejected.push(Rejected::new(lines.line, offset, problem.reason, bytes));
                }
            }
        }
        self.hint = rows.hint();
        parsed.chunk = rows.finish()?;
        Ok(parsed)
    }
}
