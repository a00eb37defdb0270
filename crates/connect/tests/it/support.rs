//! Loads bytes the way `load` does.

use std::{io::Write, path::Path};

use arrow::array::{Array, AsArray};
use serde_json::{Value, json};
use wardlake_connect::{Chunk, ConnectError, Event, FileReport, FileTable, FoundFile, Rejected, read};

/// A file as loaded; a missing field is `None`.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) rows: Vec<Vec<(String, Option<String>)>>,
    pub(crate) positions: Vec<i64>,
    pub(crate) hashes: Vec<u128>,
    pub(crate) rejected: Vec<Rejected>,
    pub(crate) report: FileReport,
}

impl Loaded {
    /// The rows as text: fields joined by `|`, NULL as `∅`.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |row: &Vec<(String, Option<String>)>| {
            row.iter().map(|(_, value)| value.as_deref().unwrap_or("∅")).collect::<Vec<_>>().join("|")
        };
        self.rows.iter().map(line).collect()
    }

    /// `line:reason` of each rejected record.
    pub(crate) fn rejections(&self) -> Vec<String> {
        self.rejected.iter().map(|rejected| format!("{}:{}", rejected.line, rejected.reason.code())).collect()
    }
}

pub(crate) fn table(format: &Value) -> FileTable {
    FileTable::from_json(&Value::Null, &json!({"path": "*", "format": format})).unwrap()
}

pub(crate) fn load_file(path: &Path, table: &FileTable, known: Option<&[String]>) -> Result<Loaded, ConnectError> {
    let file = FoundFile::at(path)?;
    let (mut chunks, mut rejected) = (Vec::<Chunk>::new(), Vec::new());
    let report = read(&file, table, known, None, 2, &mut |event| {
        match event {
            Event::Chunk(chunk) => chunks.push(*chunk),
            Event::Rejected(record) => rejected.push(record),
        }
        Ok(())
    })?;
    let mut loaded = Loaded { rows: Vec::new(), positions: Vec::new(), hashes: Vec::new(), rejected, report };
    for chunk in chunks {
        for row in 0..chunk.rows {
            let fields = chunk.columns.iter().zip(&chunk.arrays).map(|(name, array)| {
                let array = array.as_string::<i32>();
                (name.clone(), array.is_valid(row).then(|| array.value(row).to_owned()))
            });
            loaded.rows.push(fields.collect());
        }
        loaded.positions.extend(chunk.positions.values());
        loaded.hashes.extend(chunk.row_hashes);
    }
    Ok(loaded)
}

pub(crate) fn try_load(bytes: &[u8], format: &Value) -> Result<Loaded, ConnectError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file.flush().unwrap();
    load_file(file.path(), &table(format), None)
}

pub(crate) fn load(bytes: impl AsRef<[u8]>, format: &Value) -> Loaded {
    try_load(bytes.as_ref(), format).unwrap()
}
