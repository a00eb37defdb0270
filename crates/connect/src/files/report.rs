//! What is known of a file when it has been read.

use std::collections::{BTreeMap, HashSet};

use arrow::datatypes::Int64Type;

use super::{Event, pipeline::Parsed, stream::Totals};
use crate::{
    ConnectError, RejectReason,
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
    /// How many of the rejected records there are for each reason.
    pub reasons: BTreeMap<RejectReason, u64>,
    /// Blank lines and comments passed over, and the segments around HL7 batches.
    pub blank: u64,
    /// Rows with fewer fields than columns, filled up with NULL.
    pub padded: u64,
    /// The line of the last row, where it has fewer fields than columns and no line end: the file was probably cut short.
    pub cut_line: Option<u64>,
    /// Whether the first file of a table seems to have no header: what was taken for names holds numbers or dates.
    pub has_values_for_names: bool,
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

impl FileReport {
    /// A sentence for each thing about the file that somebody should look at, though it was read. None holds a value of the file.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        words.extend(self.word_on_rejected());
        if self.rows > 1 && self.padded > self.rows / 2 {
            words.push(format!(
                "{} of its {} rows have fewer fields than its header has names, and what is missing was loaded as NULL: check `delimiter` of \
                 its format, and `skip_rows` if lines stand before the header",
                self.padded, self.rows
            ));
        }
        if let Some(line) = self.cut_line {
            words.push(format!(
                "its last line (line {line}) has no line end and fewer fields than the file has columns: it was probably cut short. What is \
                 missing was loaded as NULL; have the file sent again, or keep such lines out with `ragged: reject`"
            ));
        }
        if self.has_values_for_names {
            let text = "its first line holds numbers or dates where names of columns should stand; if it has no header, write `header: false` \
                        or `columns` in its format";
            words.push(text.to_owned());
        }
        words
    }

    /// More rejected records than rows are rarely so many bad records: the file is read in the wrong way.
    fn word_on_rejected(&self) -> Option<String> {
        let (reason, _) = self.reasons.iter().max_by_key(|(_, count)| **count)?;
        let advice = reason.advice()?;
        if self.rejected <= self.rows {
            return None;
        }
        let share = match self.rows {
            0 => "none of its records could be read".to_owned(),
            rows => format!("only {rows} of its {} records could be read", rows + self.rejected),
        };
        Some(format!("{share}, mostly because {}; {advice}. They are in system.rejected_rows", reason.message()))
    }
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
    records: i64,
    reasons: BTreeMap<RejectReason, u64>,
    padded: u64,
    cut_line: Option<u64>,
    pub(crate) has_values_for_names: bool,
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
            records: 0,
            reasons: BTreeMap::new(),
            padded: 0,
            cut_line: None,
            has_values_for_names: false,
            decoded: 0,
        }
    }

    pub(crate) fn parsed(&mut self, parsed: Parsed) -> Result<(), ConnectError> {
        self.blank += parsed.blank;
        self.padded += parsed.padded;
        self.cut_line = parsed.cut_line.or(self.cut_line);
        self.decoded += parsed.decoded;
        self.rejected += parsed.rejected.len() as u64;
        // Of a record that is too long to be held, the parser knows nothing.
        let records = parsed.records.max(parsed.rejected.len() as u64) as i64;
        if let Some(mut chunk) = parsed.chunk {
            // Blocks number their own records: none knows how many came before it.
            if let Some(kept) = chunk.kept.as_mut().filter(|_| self.records > 0) {
                let before = self.records;
                kept.records = kept.records.unary::<_, Int64Type>(|number| number + before);
            }
            self.rows += chunk.rows as u64;
            if self.is_json() {
                for name in &chunk.columns {
                    if !self.seen.contains(name) {
                        self.seen.insert(name.clone());
                        self.columns.push(name.clone());
                    }
                }
            }
            (self.sink)(Event::Chunk(Box::new(chunk)))?;
        }
        self.records += records;
        for rejected in parsed.rejected {
            *self.reasons.entry(rejected.reason).or_default() += 1;
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
            reasons: self.reasons,
            blank: self.blank,
            padded: self.padded,
            cut_line: self.cut_line,
            has_values_for_names: self.has_values_for_names,
            file_format: self.file_format,
            compression,
            encoding,
            delimiter: self.delimiter,
            columns: self.columns,
        }
    }
}
