//! What is known of a file when it has been read.

use std::collections::HashSet;

use super::{Event, pipeline::Parsed, stream::Totals};
use crate::{
    ConnectError,
    source::{Compression, Encoding, FileFormat},
};

/// The account of one file: every record is among `rows`, `rejected` or `blank`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    /// Raw bytes of the file.
    pub bytes_read: u64,
    /// SHA-256 of the raw bytes, hexadecimal.
    pub sha256: String,
    /// Rows delivered.
    pub rows: u64,
    /// Records rejected.
    pub rejected: u64,
    /// Blank lines and comments passed over, and the segments around HL7 batches.
    pub blank: u64,
    /// Rows with fewer fields than columns, filled up with NULL.
    pub padded: u64,
    /// The format it was read as; never `Auto`.
    pub file_format: FileFormat,
    /// Its compression; never `Auto`.
    pub compression: Compression,
    /// Its encoding; never `Auto`: Windows-1252 if at least one record was not UTF-8.
    pub encoding: Encoding,
    /// What separates its fields, for delimited text.
    pub delimiter: Option<String>,
    /// Its columns in file order, for JSON in the order in which they were first seen.
    pub columns: Vec<String>,
}

/// Counts what passes on its way to the sink.
pub(crate) struct Tally<'s> {
    sink: &'s mut dyn FnMut(Event) -> Result<(), ConnectError>,
    seen: HashSet<String>,
    pub(crate) columns: Vec<String>,
    pub(crate) file_format: FileFormat,
    pub(crate) delimiter: Option<String>,
    pub(crate) blank: u64,
    rows: u64,
    rejected: u64,
    padded: u64,
    decoded: u64,
}

impl<'s> Tally<'s> {
    pub(crate) fn new(sink: &'s mut dyn FnMut(Event) -> Result<(), ConnectError>) -> Self {
        Self {
            sink,
            seen: HashSet::new(),
            columns: Vec::new(),
            file_format: FileFormat::Auto,
            delimiter: None,
            blank: 0,
            rows: 0,
            rejected: 0,
            padded: 0,
            decoded: 0,
        }
    }

    pub(crate) fn parsed(&mut self, parsed: Parsed) -> Result<(), ConnectError> {
        self.blank += parsed.blank;
        self.padded += parsed.padded;
        self.decoded += parsed.decoded;
        self.rejected += parsed.rejected.len() as u64;
        if let Some(chunk) = parsed.chunk {
            self.rows += chunk.rows as u64;
            if self.is_json() {
                for name in &chunk.columns {
                    if !self.seen.contains(name) {
                        self.seen.insert(name.clone());
                        self.columns.push(name.clone());
                    }
                }
            }
            (self.sink)(Event::Chunk(chunk))?;
        }
        for rejected in parsed.rejected {
            (self.sink)(Event::Rejected(rejected))?;
        }
        Ok(())
    }

    /// Whether each record names its columns anew.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self.file_format, FileFormat::Json | FileFormat::Ndjson)
    }

    pub(crate) fn report(self, totals: Totals, compression: Compression, encoding: Encoding) -> FileReport {
        let encoding = match encoding {
            Encoding::Auto if self.decoded > 0 => Encoding::Windows1252,
            Encoding::Auto => Encoding::Utf8,
            known => known,
        };
        FileReport {
            bytes_read: totals.bytes,
            sha256: totals.sha256,
            rows: self.rows,
            rejected: self.rejected,
            blank: self.blank,
            padded: self.padded,
            file_format: self.file_format,
            compression,
            encoding,
            delimiter: self.delimiter,
            columns: self.columns,
        }
    }
}
