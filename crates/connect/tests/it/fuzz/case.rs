//! One input with its settings, and what has to hold for it.

use std::{collections::HashSet, fs, path::Path};

use arrow::array::{Array, AsArray};
use serde_json::{Value, json};
use wardlake_connect::{
    ConnectError, Event, FileReport, FileTable, FoundFile, Limits, MAX_REJECTED_BYTES, Rejected, read_within,
    source::{Compression, Delimiter, Encoding, FileFormat, Format, Header},
};

use super::{
    delimited::Delimited,
    expected::{Expected, Fields, Outcome, hash_of, sorted},
    messages,
    objects::{self, Document},
    text::{Text, compression_of, decoded, uncompressed},
};

/// Bytes, how they are to be read, and in which pieces.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) bytes: Vec<u8>,
    pub(crate) format: Value,
    /// Sizes of blocks and numbers of threads, beside the usual size on one thread.
    pub(crate) pieces: Vec<(usize, usize)>,
}

/// The table of these settings, if they are valid.
pub(crate) fn table(format: &Value) -> Option<FileTable> {
    FileTable::from_json(&Value::Null, &json!({"path": "*", "format": format})).ok()
}

#[derive(Debug, PartialEq)]
struct Row {
    position: u64,
    fields: Fields,
    hash: u128,
}

#[derive(Debug, PartialEq)]
struct Loaded {
    rows: Vec<Row>,
    rejected: Vec<Rejected>,
    report: FileReport,
}

impl Case {
    /// Panics where something does not hold. `path` is a file that may be written.
    pub(crate) fn check(&self, path: &Path) {
        fs::write(path, &self.bytes).unwrap();
        let table = table(&self.format).expect("valid settings");
        let whole = self.load(path, &table, Limits::default(), 1);
        for (block, threads) in &self.pieces {
            let limits = Limits { block: *block, ..Limits::default() };
            let pieces = self.load(path, &table, limits, *threads);
            match (&whole, &pieces) {
                (Ok(whole), Ok(pieces)) => {
                    assert_eq!(pieces.rejected, whole.rejected, "rejected in blocks of {block} on {threads} threads");
                    assert_eq!(pieces.rows, whole.rows, "rows in blocks of {block} on {threads} threads");
                    assert_eq!(pieces.report, whole.report, "report in blocks of {block} on {threads} threads");
                }
                (Err(whole), Err(pieces)) => assert_eq!(variant(pieces), variant(whole), "error in blocks of {block}"),
                _ => panic!("blocks of {block} on {threads} threads: {pieces:?}, whole: {whole:?}"),
            }
        }
        self.check_narrow(path, &table, &whole);
        match whole {
            Ok(loaded) => {
                in_order(&loaded);
                self.check_rows(&loaded, &table);
            }
            Err(error) => self.check_error(&error, &table),
        }
    }

    /// Only the beginning is looked at for the columns, the rest is read in further steps, and records may be too long.
    fn check_narrow(&self, path: &Path, table: &FileTable, whole: &Result<Loaded, ConnectError>) {
        if matches!(whole, Err(ConnectError::Columns { .. } | ConnectError::Corrupt { format: "text", .. })) {
            return;
        }
        let narrow = Limits { head: NARROW, block: 64, ..Limits::default() };
        for limits in [narrow, Limits { record: 300, ..narrow }] {
            let (one, three) = (self.load(path, table, limits, 1), self.load(path, table, limits, 3));
            assert_eq!(one.as_ref().map_err(variant), three.as_ref().map_err(variant), "{limits:?}");
            let Ok(one) = one else { continue };
            in_order(&one);
            let Ok(whole) = whole else { panic!("read in pieces, though not as a whole: {one:?}") };
            let (part, all) = (&one.report, &whole.report);
            if (part.file_format, part.encoding) != (all.file_format, all.encoding) {
                continue;
            }
            if part.file_format == FileFormat::Ndjson {
                assert_eq!(part.rows + part.rejected + part.blank, all.rows + all.rejected + all.blank, "{limits:?}");
            }
            let is_alike = match part.file_format {
                FileFormat::Csv | FileFormat::Tsv => {
                    (&part.columns, &part.delimiter) == (&all.columns, &all.delimiter)
                        && begins_early(&table.format, &self.text(table, all).bytes)
                }
                _ => true,
            };
            if is_alike && limits.record == narrow.record {
                assert_eq!(one, *whole, "{limits:?}");
            }
        }
    }

    fn load(&self, path: &Path, table: &FileTable, limits: Limits, threads: usize) -> Result<Loaded, ConnectError> {
        let (mut rows, mut rejected, mut copy) = (Vec::new(), Vec::new(), Vec::new());
        let found = FoundFile::at(path)?;
        let report = read_within(&found, table, None, Some(&mut copy), threads, limits, &mut |event| {
            let chunk = match event {
                Event::Chunk(chunk) => chunk,
                Event::Rejected(record) => {
                    rejected.push(record);
                    return Ok(());
                }
            };
            for row in 0..chunk.rows {
                let fields = chunk.columns.iter().zip(&chunk.arrays).filter_map(|(name, array)| {
                    let array = array.as_string_opt::<i32>()?;
                    array.is_valid(row).then(|| (name.clone(), array.value(row).to_owned()))
                });
                let position = chunk.positions.value(row) as u64;
                rows.push(Row { position, fields: sorted(fields.collect()), hash: chunk.row_hashes[row] });
            }
            Ok(())
        })?;
        assert!(copy == self.bytes, "the copy of the bytes differs from them");
        assert_eq!(report.bytes_read, self.bytes.len() as u64);
        assert_eq!((report.rows, report.rejected), (rows.len() as u64, rejected.len() as u64));
        Ok(Loaded { rows, rejected, report })
    }

    fn text(&self, table: &FileTable, report: &FileReport) -> Text {
        let raw = uncompressed(&self.bytes, report.compression).expect("what was read can be uncompressed");
        decoded(&raw, table.format.encoding, report.encoding)
    }

    fn check_rows(&self, loaded: &Loaded, table: &FileTable) {
        let (format, report) = (&table.format, &loaded.report);
        if report.file_format == FileFormat::Parquet {
            return;
        }
        let text = self.text(table, report);
        let expected = match report.file_format {
            FileFormat::Ndjson => objects::lines(&text.bytes, format, text.encoding),
            FileFormat::Hl7 => messages::expected(&text.bytes),
            FileFormat::Json => match objects::document(&text.bytes, format, text.encoding) {
                Document::Records(expected) => expected,
                Document::None => panic!("records of a document that has none: {loaded:?}"),
                Document::Unknown => return check_numbers(loaded, &text),
            },
            _ => {
                let delimiter = match &format.delimiter {
                    Delimiter::Text(delimiter) => delimiter.clone(),
                    Delimiter::Auto => report.delimiter.clone().expect("a delimiter"),
                };
                let delimited = Delimited::new(&text.bytes, format, &delimiter, text.encoding);
                let lines = loaded.rows.iter().map(|row| row.position).chain(loaded.rejected.iter().map(|r| r.line));
                let first_is_data = format.header == Header::Auto && {
                    let as_data = delimited.records(&report.columns, true);
                    as_data.records.first().map(|record| record.line) == lines.min()
                };
                delimited.records(&report.columns, first_is_data)
            }
        };
        compare(loaded, &expected, &text);
    }

    /// Text without a form of its own can always be read; what is compressed or one document may be damaged.
    fn check_error(&self, error: &ConnectError, table: &FileTable) {
        let format = &table.format;
        let compression = match format.compression {
            Compression::Auto => compression_of(&self.bytes),
            known => known,
        };
        match error {
            ConnectError::Corrupt { format: "gzip" | "zstd", .. } | ConnectError::Unreadable { .. } => {
                assert!(uncompressed(&self.bytes, compression).is_none(), "{error}");
            }
            ConnectError::Corrupt { format: "text", .. } => {
                let Some(raw) = uncompressed(&self.bytes, compression) else { return };
                let is_odd = |byte: &u8| byte.is_ascii_control() && !b"\t\n\r".contains(byte);
                assert!(raw.iter().any(is_odd) || std::str::from_utf8(&raw).is_err(), "{error}");
            }
            ConnectError::Unfinished { .. } | ConnectError::RecordsMissing { .. } | ConnectError::Corrupt { .. } => {
                let Some(raw) = uncompressed(&self.bytes, compression) else { return };
                if compression == Compression::None && raw.starts_with(b"PAR1") {
                    return;
                }
                assert!(matches!(format.file_format, FileFormat::Json | FileFormat::Auto), "{error}");
                let is_utf8 = std::str::from_utf8(&raw).is_ok() && !raw.contains(&0);
                let may_be_utf8 = matches!(format.encoding, Encoding::Auto | Encoding::Utf8);
                if format.file_format == FileFormat::Json && is_utf8 && may_be_utf8 {
                    let text = decoded(&raw, format.encoding, format.encoding);
                    let found = objects::document(&text.bytes, format, text.encoding);
                    assert!(!matches!(found, Document::Records(_)), "{error} though there are records");
                }
            }
            ConnectError::OtherFormat { found, .. } => {
                let Some(raw) = uncompressed(&self.bytes, compression) else { panic!("{error}") };
                // UTF-16 has a NUL beside each letter.
                let start: Vec<u8> = raw.iter().copied().filter(|byte| *byte != 0).take(120).collect();
                let sign: &[u8] = if *found == "hl7" { b"|^~\\&" } else { b"{" };
                assert!(start.windows(sign.len()).any(|part| part == sign), "{error}: {start:?}");
            }
            ConnectError::Columns { .. } => {
                // A byte of a single-byte encoding may be three of UTF-8.
                assert!(uncompressed(&self.bytes, compression).is_some_and(|raw| 3 * raw.len() > 1024), "{error}");
            }
            _ => panic!("an error that no file may bring about: {error:?}"),
        }
    }
}

/// How much of a file is looked at first where little is.
const NARROW: usize = 256;

/// Whether the first [`NARROW`] bytes, in whatever encoding, tell of delimited text what all of it does.
fn begins_early(format: &Format, text: &[u8]) -> bool {
    let head = &text[..text.len().min(NARROW / 2)];
    let quote = format.quote.unwrap_or(b'"');
    let mut lines = head.split_inclusive(|byte| *byte == b'\n').skip(format.skip_rows);
    let first = lines.next().filter(|line| line.ends_with(b"\n") && !line.trim_ascii().is_empty());
    !text.contains(&b'\r')
        && !head.iter().any(|byte| *byte == quote || Some(*byte) == format.escape)
        && first.is_some_and(|line| Some(line[0]) != format.comment)
        && format.header != Header::Auto
}

fn variant(error: &ConnectError) -> String {
    let text = format!("{error:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}

fn in_order(loaded: &Loaded) {
    assert!(loaded.rows.windows(2).all(|pair| pair[0].position < pair[1].position), "positions of rows: {loaded:?}");
    assert!(loaded.rejected.windows(2).all(|pair| pair[0].line < pair[1].line), "lines of rejected: {loaded:?}");
    assert!(
        loaded.rejected.windows(2).all(|pair| pair[0].byte_offset + pair[0].length <= pair[1].byte_offset),
        "rejected records overlap: {loaded:?}"
    );
    let rejected: HashSet<u64> = loaded.rejected.iter().map(|rejected| rejected.line).collect();
    for row in &loaded.rows {
        assert_eq!(row.hash, hash_of(&row.fields), "hash of {row:?}");
        assert!(!rejected.contains(&row.position), "both row and rejected: {row:?}");
    }
}

/// Every record has the next number, and every rejected one its bytes.
fn check_numbers(loaded: &Loaded, text: &Text) {
    let mut numbers: Vec<u64> = loaded.rows.iter().map(|row| row.position).collect();
    numbers.extend(loaded.rejected.iter().map(|rejected| rejected.line));
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "numbers of records: {numbers:?}");
    for rejected in &loaded.rejected {
        let start = rejected.byte_offset as usize - text.mark;
        assert_eq!(rejected.bytes, kept(&text.bytes[start..start + rejected.length as usize]));
    }
}

fn kept(record: &[u8]) -> &[u8] {
    &record[..record.len().min(MAX_REJECTED_BYTES)]
}

/// Rows in = rows accounted for, each as it should be.
fn compare(loaded: &Loaded, expected: &Expected, text: &Text) {
    let (mut rows, mut rejected) = (loaded.rows.iter().peekable(), loaded.rejected.iter().peekable());
    for record in &expected.records {
        let raw = &text.bytes[record.start..record.end];
        let row = rows.next_if(|row| row.position == record.line);
        let refusal = rejected.next_if(|rejected| rejected.line == record.line);
        if let Some(refusal) = refusal {
            assert_eq!(refusal.byte_offset as usize, text.mark + record.start, "offset of {refusal:?}");
            assert_eq!(refusal.bytes, kept(raw), "bytes of {refusal:?}");
            assert_eq!(refusal.length, raw.len() as u64, "length of {refusal:?}");
        }
        let holds = match (&record.outcome, row, refusal) {
            (Outcome::Row(fields), Some(row), None) => row.fields == *fields,
            (Outcome::Rejected(reason), None, Some(refusal)) => refusal.reason == *reason,
            (Outcome::RejectedForSomeReason, None, Some(_)) => true,
            (Outcome::Lenient, row, refusal) => row.is_some() != refusal.is_some(),
            _ => false,
        };
        assert!(holds, "line {}: expected {:?}, got {row:?} and {refusal:?}", record.line, record.outcome);
    }
    assert_eq!((rows.next(), rejected.next()), (None, None), "records that are not there");
    assert_eq!(loaded.report.blank, expected.blank, "blank lines and comments");
}
