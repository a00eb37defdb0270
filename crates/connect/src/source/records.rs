//! Bytes that are here whole, read as the records of a table.

use super::{format::FileFormat, table::FileTable};
use crate::{Chunk, ConnectError, Event, Rejected, files::read_bytes};

/// The records of some bytes.
#[derive(Debug, Default)]
pub struct Reading {
    /// The format they were read as.
    pub format: FileFormat,
    /// The rows.
    pub chunks: Vec<Chunk>,
    /// Records that could not be read.
    pub rejected: Vec<Rejected>,
}

impl Reading {
    /// Reads `bytes`, called `name` where they are told of, as the table's format says, or as `format` does. `columns` are those of the
    /// table, which settle how many may be new; without them as many as a table may have are taken.
    pub fn of(
        bytes: &[u8],
        name: &str,
        table: &FileTable,
        columns: Option<&[String]>,
        format: Option<FileFormat>,
    ) -> Result<Self, ConnectError> {
        let changed;
        let table = match format {
            Some(format) if format != table.format.file_format => {
                let mut other = table.clone();
                other.format.file_format = format;
                changed = other;
                &changed
            }
            _ => table,
        };
        let mut reading = Self::default();
        let mut sink = |event: Event| {
            match event {
                Event::Chunk(chunk) => reading.chunks.push(*chunk),
                Event::Rejected(record) => reading.rejected.push(record),
            }
            Ok(())
        };
        let report = read_bytes(bytes, name, table, columns, &mut sink)?;
        reading.format = report.file_format;
        Ok(reading)
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.rows).sum()
    }
}
