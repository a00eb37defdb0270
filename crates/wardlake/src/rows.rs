//! Rows for people and for other programs: table, CSV, JSON, Parquet. Streams, except the table, which people read whole.

use std::{
    fs::File,
    io::{self, IsTerminal, Write, stdout},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arrow::{
    array::{ArrayRef, LargeStringArray, RecordBatch, RecordBatchOptions},
    csv::WriterBuilder,
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
    json::ArrayWriter,
    util::{
        display::{ArrayFormatter, FormatOptions},
        pretty::pretty_format_batches,
    },
};
use clap::{Args, ValueEnum};
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use wardlake_engine::{EngineError, Query};

use crate::{
    failure::Failure,
    printing::{self, Stream, Unwritten, safe, safe_line, wrapped},
};

/// No cell is broken to fewer columns: a table that has no room even then is left as it is.
const NARROWEST_CELL: usize = 12;

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table for people
    #[default]
    Table,
    /// Comma-separated, with a header
    Csv,
    /// One array of objects
    Json,
    /// An Apache Parquet file
    Parquet,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct OutputArgs {
    /// How rows are written
    #[arg(long, visible_alias = "output", value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

pub(crate) fn output(error: impl std::fmt::Display) -> Failure {
    Unwritten::Output(error.to_string()).into()
}

/// What rows are written to. It remembers that nobody reads any more, of which those who write rows tell no more than a text.
struct Sink {
    inner: Box<dyn Write + Send>,
    is_unread: Arc<AtomicBool>,
}

impl Sink {
    fn noted<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            self.is_unread.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.inner.write(bytes);
        self.noted(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.inner.flush();
        self.noted(result)
    }
}

/// Where rows go.
fn target(args: &OutputArgs) -> Result<Box<dyn Write + Send>, Failure> {
    match &args.out {
        Some(path) => Ok(Box::new(File::create(path).map_err(Failure::file(path))?)),
        None if args.format == Format::Parquet && stdout().is_terminal() => {
            Err(Failure::Usage("Parquet is not for a terminal; name a file with --out".to_owned()))
        }
        None => Ok(Box::new(stdout())),
    }
}

/// Writes the rows of a query. Where nobody reads them any more, it ends.
pub(crate) async fn write(query: &Query, args: &OutputArgs) -> Result<(), Failure> {
    let is_unread = Arc::new(AtomicBool::new(false));
    let sink = Sink { inner: target(args)?, is_unread: Arc::clone(&is_unread) };
    match write_to(sink, query, args.format, args.out.is_some()).await {
        Err(Failure::Unwritten(Unwritten::Output(_))) if is_unread.load(Ordering::Relaxed) => {
            Err(Unwritten::Unread.into())
        }
        result => result,
    }
}

async fn write_to(mut out: Sink, query: &Query, format: Format, to_file: bool) -> Result<(), Failure> {
    let mut stream = query.stream().await?;
    match format {
        Format::Table => {
            let batches: Vec<RecordBatch> = stream.try_collect().await.map_err(EngineError::from)?;
            let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
            let shown = match to_file {
                true => table_within(&query.schema(), &batches, None)?,
                false => table(&query.schema(), &batches)?,
            };
            writeln!(out, "{shown}").map_err(output)?;
            writeln!(out, "({})", crate::terminal::counted(rows as u64, "row")).map_err(output)
        }
        Format::Csv => {
            let mut writer = WriterBuilder::new().with_header(true).build(out);
            writer.write(&RecordBatch::new_empty(query.schema())).map_err(output)?;
            while let Some(batch) = stream.try_next().await.map_err(EngineError::from)? {
                writer.write(&batch).map_err(output)?;
            }
            Ok(())
        }
        Format::Json => {
            let mut writer = ArrayWriter::new(&mut out);
            while let Some(batch) = stream.try_next().await.map_err(EngineError::from)? {
                writer.write(&batch).map_err(output)?;
            }
            writer.finish().map_err(output)?;
            writeln!(out).map_err(output)
        }
        Format::Parquet => {
            let mut writer = ArrowWriter::try_new(out, query.schema(), None).map_err(output)?;
            while let Some(batch) = stream.try_next().await.map_err(EngineError::from)? {
                writer.write(&batch).map_err(output)?;
            }
            writer.close().map_err(output).map(drop)
        }
    }
}

/// A table for people. What a terminal would obey is spelled out in its cells and names; one that is wider than the terminal has the
/// cells of its widest columns broken between words.
pub(crate) fn table(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<String, Failure> {
    table_within(schema, batches, Some(Stream::Out).filter(|out| out.is_terminal()).and_then(Stream::width))
}

fn table_within(schema: &SchemaRef, batches: &[RecordBatch], room: Option<usize>) -> Result<String, Failure> {
    let options = FormatOptions::default()
        .with_null("")
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f%Z"));
    let names: Vec<String> = schema.fields().iter().map(|field| safe_line(field.name()).into_owned()).collect();
    let mut columns: Vec<Vec<String>> = vec![Vec::new(); names.len()];
    for batch in batches {
        for (cells, column) in columns.iter_mut().zip(batch.columns()) {
            push_cells(column, &options, cells).map_err(output)?;
        }
    }
    if let Some(room) = room {
        fit(&names, &mut columns, room);
    }
    let fields: Vec<Field> = names.iter().map(|name| Field::new(name, DataType::LargeUtf8, true)).collect();
    let rows = RecordBatchOptions::new().with_row_count(Some(batches.iter().map(RecordBatch::num_rows).sum()));
    let arrays = columns.into_iter().map(|cells| Arc::new(LargeStringArray::from(cells)) as ArrayRef).collect();
    let shown = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &rows).map_err(output)?;
    Ok(pretty_format_batches(&[shown]).map_err(output)?.to_string())
}

fn push_cells(column: &ArrayRef, options: &FormatOptions<'_>, cells: &mut Vec<String>) -> Result<(), ArrowError> {
    let formatter = ArrayFormatter::try_new(column.as_ref(), options)?;
    for row in 0..column.len() {
        cells.push(safe(&formatter.value(row).try_to_string()?).into_owned());
    }
    Ok(())
}

/// Breaks the cells of the widest columns until the table has room, if that can be.
fn fit(names: &[String], columns: &mut [Vec<String>], room: usize) {
    let width = |(name, cells): (&String, &Vec<String>)| {
        let lines = cells.iter().flat_map(|cell| cell.lines()).chain([name.as_str()]);
        lines.map(printing::columns).max().unwrap_or_default()
    };
    let widths: Vec<usize> = names.iter().zip(columns.iter()).map(width).collect();
    // `| a | b |`: three characters of frame for each column, and one.
    let Some(room) = room.checked_sub(3 * widths.len() + 1) else { return };
    let needed = |widest: &usize| widths.iter().map(|width| width.min(widest)).sum::<usize>();
    if needed(&usize::MAX) <= room {
        return;
    }
    let Some(widest) = (NARROWEST_CELL..=room).rev().find(|widest| needed(widest) <= room) else { return };
    for (cells, width) in columns.iter_mut().zip(&widths) {
        if *width > widest {
            cells.iter_mut().for_each(|cell| *cell = wrapped(cell, widest));
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;

    fn shown(name: &str, values: Vec<Option<&str>>, room: Option<usize>) -> String {
        let schema = Arc::new(Schema::new(vec![Field::new(name, DataType::Utf8, true)]));
        let column: ArrayRef = Arc::new(StringArray::from(values));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap();
        table_within(&schema, &[batch], room).unwrap()
    }

    #[test]
    fn c09_a_table_obeys_nothing_of_its_data() {
        let text = shown("na\x1bme", vec![Some("\x1b]0;x\x07Meier\r"), None], None);
        assert!(text.contains("na\\x1bme") && text.contains("\\x1b]0;x\\x07Meier\\r"), "{text}");
        assert!(!text.contains(['\x1b', '\x07', '\r']), "{text:?}");
        let widths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    }

    #[test]
    fn e08_a_wide_table_is_broken_between_words() {
        let reason = "the discharge lies before the admission of the same stay";
        let text = shown("reason", vec![Some(reason)], Some(40));
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert!(reason.split(' ').all(|word| text.contains(word)), "{text}");
        assert_eq!(shown("reason", vec![Some(reason)], None).lines().count(), 5);
    }
}
