//! Records as rows of a table: each is a row, or rejected with the reason.

use std::collections::HashSet;

use super::batch::{KafkaRecord, OffsetGap, PartitionBatch};
use crate::{
    ConnectError, FileTable,
    source::{FileFormat, Reading, RejectedRecord, Rows},
};

/// What stands for a record's value in errors.
const VALUE: &str = "the delivery";

/// The rows of a part. Objects of one line each are read together, other values one by one; one that is no record of the table's format
/// is kept as it is. `columns`: those of the table.
pub(super) fn rows(table: &FileTable, columns: &[String], part: &PartitionBatch) -> Vec<Rows> {
    let format = table.format.file_format;
    let has_lines = matches!(format, FileFormat::Auto | FileFormat::Json | FileFormat::Ndjson);
    let (lines, others): (Vec<&KafkaRecord>, Vec<&KafkaRecord>) = part
        .records
        .iter()
        .partition(|record| has_lines && record.value.as_ref().is_some_and(|value| is_object_line(value)));
    let mut found = Vec::new();
    match take(table, columns, &lines, FileFormat::Ndjson) {
        Ok(taken) => found.push(taken),
        // One of them spoils it for all: each on its own.
        Err(_) => found.extend(lines.iter().map(|record| alone(table, columns, record, FileFormat::Ndjson))),
    }
    for record in others {
        let format = match has_lines {
            true if record.value.as_ref().is_some_and(|value| is_one_line(value)) => FileFormat::Ndjson,
            true => FileFormat::Json,
            false => format,
        };
        found.push(alone(table, columns, record, format));
    }
    found
}

/// What the broker had deleted before it was read.
pub(super) fn lost(gap: &OffsetGap) -> RejectedRecord {
    RejectedRecord {
        position: gap.from,
        reason: "kafka_offsets_gone".to_owned(),
        message: gap.to_string(),
        bytes: Vec::new(),
    }
}

/// A record as a rejected one.
pub(super) fn rejected(record: &KafkaRecord, reason: &str, message: &str) -> RejectedRecord {
    RejectedRecord {
        position: record.offset,
        reason: reason.to_owned(),
        message: message.to_owned(),
        bytes: record.value.as_ref().map(|value| value.to_vec()).unwrap_or_default(),
    }
}

fn is_one_line(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, b'\n' | b'\r'))
}

/// Whether a value can stand as a line among others: it begins an object, so that no byte-order mark, no magic bytes and no NUL of one
/// say how all of them are read.
fn is_object_line(value: &[u8]) -> bool {
    value.trim_ascii_start().starts_with(b"{") && is_one_line(value) && !value.contains(&0)
}

/// One record, whatever it holds.
fn alone(table: &FileTable, columns: &[String], record: &KafkaRecord, format: FileFormat) -> Rows {
    let only = |rejected| Rows { rejected: vec![rejected], ..Rows::default() };
    if record.value.as_ref().is_none_or(|value| value.is_empty()) {
        return only(rejected(record, "kafka_no_value", "the record has no value"));
    }
    take(table, columns, &[record], format)
        .unwrap_or_else(|error| only(rejected(record, "unreadable", &error.to_string())))
}

/// Reads the values of some records, one line each or one record alone. Each is a row or rejected.
fn take(
    table: &FileTable,
    columns: &[String],
    records: &[&KafkaRecord],
    format: FileFormat,
) -> Result<Rows, ConnectError> {
    let mut taken = Rows::default();
    let mut bytes =
        Vec::with_capacity(records.iter().filter_map(|record| record.value.as_ref()).map(|v| v.len() + 1).sum());
    for value in records.iter().filter_map(|record| record.value.as_ref()) {
        bytes.extend_from_slice(value);
        bytes.push(b'\n');
    }
    if records.is_empty() {
        return Ok(taken);
    }
    let is_single = records.len() == 1;
    // The place among `records` of what stands on a line.
    let place = move |line: i64| if is_single { 0 } else { usize::try_from(line - 1).unwrap_or(usize::MAX) };
    let reading = Reading::of(&bytes, VALUE, table, Some(columns), Some(format))?;
    let lines = reading.chunks.iter().flat_map(|chunk| chunk.positions.values().iter().copied());
    let rows: Vec<usize> = lines.map(place).collect();
    let mut told: HashSet<usize> = rows.iter().copied().collect();
    for bad in &reading.rejected {
        let at = place(i64::try_from(bad.line).unwrap_or(i64::MAX));
        told.insert(at);
        let (code, message) = (bad.reason.code(), bad.reason.message());
        taken.rejected.extend(records.get(at).map(|record| rejected(record, code, message)));
    }
    let untold = records.iter().enumerate().filter(|(at, _)| !told.contains(at)).map(|(_, record)| record);
    taken.rejected.extend(untold.map(|record| rejected(record, "kafka_no_record", "the value holds no record")));
    taken.positions = rows.into_iter().filter_map(|at| Some(records.get(at)?.offset)).collect();
    taken.chunks = reading.chunks;
    Ok(taken)
}
