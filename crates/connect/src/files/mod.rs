//! The files connector: finds the files of a table and reads each in one pass.

pub(crate) mod chunk;
mod csv;
mod discover;
mod foreign;
mod hl7;
mod json;
pub(crate) mod names;
mod parquet;
pub(crate) mod pattern;
mod pipeline;
mod report;
mod settings;
mod stream;

#[cfg(test)]
mod tests;

use std::{io::Write, path::Path};

pub(crate) use self::settings::KIND;
pub use self::{
    chunk::{Chunk, KeptRecords},
    discover::{FoundFile, instant_of},
    pattern::PathPattern,
    pipeline::Limits,
    report::FileReport,
};
use self::{
    csv::{
        CsvParser,
        head::{has_values, looks_like_names, read_head},
    },
    foreign::Foreign,
    hl7::{MessageBlocks, MessageParser},
    json::{InFileOrder, JsonParser, Lines, document::DocumentBlocks},
    names::{ColumnNames, check_any_key, check_keys},
    pipeline::{LineBlocks, Parsed, run},
    report::Tally,
    stream::Stream,
};
use crate::{
    ConnectError, FileTable, Rejected,
    position::Position,
    source::{Compression, Encoding, FileFormat, Format, Header, OnSchemaChange},
};

/// What reading a file brings.
#[derive(Clone, Debug)]
pub enum Event {
    /// Some rows.
    Chunk(Box<Chunk>),
    /// A record that could not be read.
    Rejected(Rejected),
}

/// [`read`](crate::read) with other limits than the usual ones. A record is read the same wherever blocks are cut, unless it is larger
/// than [`Limits::record`].
pub fn read_within(
    file: &FoundFile,
    table: &FileTable,
    known_columns: Option<&[String]>,
    tee: Option<&mut (dyn Write + Send)>,
    threads: usize,
    limits: Limits,
    sink: &mut dyn FnMut(Event) -> Result<(), ConnectError>,
) -> Result<FileReport, ConnectError> {
    let names = match table.on_schema_change {
        OnSchemaChange::Ignore => ColumnNames::new(known_columns).left_out(),
        _ => ColumnNames::new(known_columns),
    };
    let names = names.keeping_raw(table.keep_raw);
    let stream = Stream::open(file, table.format.compression, tee)?;
    let mut tally = Tally::new(sink);
    let is_parquet = match table.format.file_format {
        FileFormat::Parquet => true,
        FileFormat::Auto => stream.begins_with(b"PAR1"),
        _ => false,
    };
    let stream = if is_parquet {
        return read_parquet(file, stream, &names, &table.keys, tally);
    } else {
        read_text(stream, table, &file.relative, &names, threads, limits, &mut tally)?
    };
    // A file that brings such names to a table that has others shows as new and missing columns.
    tally.has_values_for_names &= known_columns.is_none();
    if tally.is_json() {
        // A record need not name every key, but of a file some record does.
        check_any_key(&file.path, &table.keys, &tally.columns, looks_like_names(&tally.columns))?;
    }
    let (compression, encoding) = (stream.compression(), stream.encoding());
    let totals = stream.finish()?;
    Ok(tally.report(totals, compression, encoding))
}

/// Reads one delivery that was received whole, as a request's body: records are numbered from 1 by their lines, as in a file
/// called `name`. Parquet is read from files only. Nothing more will come of it: what ends in the middle is cut short.
pub fn read_bytes(
    bytes: &[u8],
    name: &str,
    table: &FileTable,
    known_columns: Option<&[String]>,
    sink: &mut dyn FnMut(Event) -> Result<(), ConnectError>,
) -> Result<FileReport, ConnectError> {
    let names = ColumnNames::new(known_columns).keeping_raw(table.keep_raw);
    let stream = Stream::over(bytes, name, table.format.compression)?;
    if table.format.file_format == FileFormat::Parquet {
        let message = "Parquet is read from files, not from deliveries".to_owned();
        return Err(ConnectError::Corrupt { path: name.into(), format: "parquet", message });
    }
    let mut tally = Tally::new(sink);
    let read = || -> Result<_, ConnectError> {
        let stream = read_text(stream, table, name, &names, 1, Limits::default(), &mut tally)?;
        let (compression, encoding) = (stream.compression(), stream.encoding());
        Ok((stream.finish()?, compression, encoding))
    };
    let (totals, compression, encoding) = read().map_err(|error| match error {
        ConnectError::Unfinished { path, reason } => ConnectError::CutShort { path, reason },
        error => error,
    })?;
    Ok(tally.report(totals, compression, encoding))
}

/// Whether a delivery of JSON is lines of objects rather than one document.
pub fn is_lines_of_objects(bytes: &[u8]) -> bool {
    let start = json::text::skip_space(bytes, 0);
    bytes.get(start) == Some(&b'{') && is_object_line(&bytes[start..], true)
}

/// A Parquet file is read from its end, so its bytes are hashed and copied first and then read again.
fn read_parquet(
    file: &FoundFile,
    stream: Stream<'_>,
    names: &ColumnNames,
    keys: &[String],
    mut tally: Tally<'_>,
) -> Result<FileReport, ConnectError> {
    let begins_well = stream.begins_with(b"PAR1");
    let totals = stream.finish()?;
    let magic = tail_of(file, 4)?;
    if begins_well && magic != b"PAR1" {
        return Err(ConnectError::Unfinished { path: file.path.clone(), reason: "its Parquet footer is missing" });
    }
    tally.file_format = FileFormat::Parquet;
    tally.columns = parquet::read_rows(file, names, keys, &mut |chunk| {
        tally.parsed(Parsed { chunk: Some(chunk), ..Parsed::default() })
    })?;
    let size_now =
        file.path.metadata().map_err(|source| ConnectError::Unreadable { path: file.path.clone(), source })?.len();
    if size_now != totals.bytes {
        return Err(ConnectError::Unfinished { path: file.path.clone(), reason: "its size changed while it was read" });
    }
    Ok(tally.report(totals, Compression::None, Encoding::Utf8))
}

fn tail_of(file: &FoundFile, length: u64) -> Result<Vec<u8>, ConnectError> {
    use std::io::{Read, Seek, SeekFrom};
    let read = || {
        let mut handle = std::fs::File::open(&file.path)?;
        let size = handle.metadata()?.len();
        handle.seek(SeekFrom::Start(size.saturating_sub(length)))?;
        let mut tail = Vec::new();
        handle.read_to_end(&mut tail)?;
        Ok(tail)
    };
    read().map_err(|source| ConnectError::Unreadable { path: file.path.clone(), source })
}

fn read_text<'t>(
    mut stream: Stream<'t>,
    table: &FileTable,
    relative: &str,
    names: &ColumnNames,
    threads: usize,
    limits: Limits,
    tally: &mut Tally<'_>,
) -> Result<Stream<'t>, ConnectError> {
    let format = &table.format;
    let mut buffer = Vec::with_capacity(limits.head + 64 * 1024);
    let ended = stream.begin(&mut buffer, limits.head, format.encoding)?;
    // Threads cost more than the parsing of one block.
    let threads = if ended && buffer.len() <= limits.block { 1 } else { threads };
    let encoding = stream.record_encoding();
    let file_format = match format.file_format {
        FileFormat::Auto => detect_format(relative, &buffer, ended),
        known => known,
    };
    tally.file_format = file_format;
    let start = Position { offset: stream.mark(), line: 1 };
    let path = stream.path().to_owned();
    refuse_foreign(&path, &buffer, format)?;
    match file_format {
        FileFormat::Json => {
            let source = DocumentBlocks::new(stream, buffer, format.records.as_deref(), limits);
            let parser = JsonParser::new(names.clone(), format, encoding, true).keeping_raw(table.keep_raw);
            let mut order = InFileOrder::new(&parser);
            Ok(run(source, parser, threads, &mut |parsed| tally.parsed(order.settle(parsed)?))?.into_stream())
        }
        FileFormat::Ndjson => {
            let source = LineBlocks { stream, split: Lines, buffer, position: start, limits };
            let parser = JsonParser::new(names.clone(), format, encoding, false).keeping_raw(table.keep_raw);
            let mut order = InFileOrder::new(&parser);
            Ok(run(source, parser, threads, &mut |parsed| tally.parsed(order.settle(parsed)?))?.stream)
        }
        FileFormat::Hl7 => {
            let source = MessageBlocks::new(stream, buffer, limits);
            let parser = MessageParser::new(names, &format.mapping, encoding);
            names.check(&path, parser.names())?;
            check_keys(&path, &table.keys, parser.names(), true)?;
            tally.columns = parser.names().to_vec();
            Ok(run(source, parser, threads, &mut |parsed| tally.parsed(parsed))?.into_stream())
        }
        _ => {
            refuse_other(&path, &buffer, format, file_format)?;
            let is_tab = file_format == FileFormat::Tsv;
            let head = read_head(&buffer, start, format, encoding, names, is_tab);
            names.check(&path, &head.columns)?;
            check_keys(&path, &table.keys, &head.columns, looks_like_names(&head.columns))?;
            buffer.drain(..(head.data.offset - start.offset) as usize);
            tally.columns.clone_from(&head.columns);
            tally.delimiter = Some(String::from_utf8_lossy(&head.dialect.delimiter).into_owned());
            tally.blank = head.blank;
            let is_header_read = format.header == Header::Yes && format.columns.is_empty();
            tally.has_values_for_names = is_header_read && has_values(&head.columns);
            let parser = CsvParser::new(&head, format, encoding).keeping_raw(table.keep_raw);
            let source = LineBlocks { stream, split: head.dialect, buffer, position: head.data, limits };
            Ok(run(source, parser, threads, &mut |parsed| tally.parsed(parsed))?.stream)
        }
    }
}

/// Refuses what is certainly of no format that is read. Lines taken as they are may be those of a document.
fn refuse_foreign(path: &Path, head: &[u8], format: &Format) -> Result<(), ConnectError> {
    let markup = || if format.columns.len() == 1 { None } else { Foreign::of_markup(head) };
    match Foreign::of_controls(head).or_else(markup) {
        Some(found) => Err(found.refused(path)),
        None => Ok(()),
    }
}

/// So much of a text tells whether it is certainly no delimited one.
const CERTAIN_BYTES: usize = 100;

/// Refuses what is certainly of another format where its first line would become names of columns.
fn refuse_other(path: &Path, head: &[u8], format: &Format, wanted: FileFormat) -> Result<(), ConnectError> {
    if format.header == Header::No || !format.columns.is_empty() || format.skip_rows > 0 {
        return Ok(());
    }
    let head = &head[..head.len().min(CERTAIN_BYTES)];
    let found = if hl7::is_beginning(head) {
        FileFormat::Hl7
    } else if json::text::begins_with_object(head) {
        FileFormat::Json
    } else {
        return Ok(());
    };
    Err(ConnectError::OtherFormat { path: path.to_owned(), found: found.name(), wanted: wanted.name() })
}

/// By the name where it is clear, else by the first bytes.
fn detect_format(relative: &str, head: &[u8], ended: bool) -> FileFormat {
    let name = relative.to_lowercase();
    let name = [".gz", ".gzip", ".zst", ".zstd"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    match ending {
        "csv" | "psv" => FileFormat::Csv,
        "tsv" | "tab" => FileFormat::Tsv,
        "ndjson" | "jsonl" => FileFormat::Ndjson,
        "hl7" => FileFormat::Hl7,
        _ => {
            let start = json::text::skip_space(head, 0);
            match head.get(start) {
                _ if hl7::is_beginning(head) => FileFormat::Hl7,
                Some(b'{') if is_object_line(&head[start..], ended) => FileFormat::Ndjson,
                Some(b'{' | b'[') => FileFormat::Json,
                _ if ending == "json" => FileFormat::Json,
                _ => FileFormat::Csv,
            }
        }
    }
}

/// Whether the first line is an object of its own, and the next, if any, begins another.
fn is_object_line(head: &[u8], ended: bool) -> bool {
    let Some(end) = json::text::value_end(head, 0, ended) else { return false };
    if head[..end].contains(&b'\n') {
        return false;
    }
    let next = json::text::skip_space(head, end);
    match head.get(next) {
        Some(b'{') => head[end..next].contains(&b'\n'),
        Some(_) => false,
        None => head[end..next].contains(&b'\n'),
    }
}
