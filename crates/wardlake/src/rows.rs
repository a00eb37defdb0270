//! Rows for people and for other programs: table, CSV, JSON, Parquet. Streams, except the table, which people read whole.

use std::{
    fs::File,
    io::{IsTerminal, Write, stdout},
    path::PathBuf,
};

use arrow::{
    array::RecordBatch,
    csv::WriterBuilder,
    datatypes::SchemaRef,
    error::ArrowError,
    json::ArrayWriter,
    util::{display::FormatOptions, pretty::pretty_format_batches_with_options},
};
use clap::{Args, ValueEnum};
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use wardlake_engine::{EngineError, Query};

use crate::failure::Failure;

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
    Failure::Output(error.to_string())
}

/// Where rows go.
fn sink(args: &OutputArgs) -> Result<Box<dyn Write + Send>, Failure> {
    match &args.out {
        Some(path) => Ok(Box::new(File::create(path).map_err(Failure::file(path))?)),
        None if args.format == Format::Parquet && stdout().is_terminal() => {
            Err(Failure::Usage("Parquet is not for a terminal; name a file with --out".to_owned()))
        }
        None => Ok(Box::new(stdout())),
    }
}

/// Writes the rows of a query.
pub(crate) async fn write(query: &Query, args: &OutputArgs) -> Result<(), Failure> {
    let mut out = sink(args)?;
    let mut stream = query.stream().await?;
    let result = async {
        match args.format {
            Format::Table => {
                let batches: Vec<RecordBatch> = stream.try_collect().await.map_err(EngineError::from)?;
                let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
                writeln!(out, "{}", table(&query.schema(), &batches)?).map_err(output)?;
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
    };
    result.await
}

/// A table for people, numbers to the right as Arrow prints them.
pub(crate) fn table(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<String, Failure> {
    let options = FormatOptions::default()
        .with_null("")
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f%Z"));
    let shown = match batches.is_empty() {
        true => vec![RecordBatch::new_empty(schema.clone())],
        false => batches.to_vec(),
    };
    let printed: Result<_, ArrowError> = pretty_format_batches_with_options(&shown, &options);
    Ok(printed.map_err(output)?.to_string())
}
