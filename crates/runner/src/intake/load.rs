//! From what was delivered to bronze: one commit for all that waits.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray, new_null_array},
    compute::concat_batches,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use chrono::DateTime;
use datafusion::physical_plan::memory::MemoryStream;
use wardlake_connect::{Chunk, hl7};
use wardlake_core::{LedgerEntry, TableName};
use wardlake_storage::{Commit, SchemaChange};

use super::{Accepted, FeedOptions, Records, RejectedRecord, Waiting};
use crate::{
    RunnerError, Workspace,
    bronze::{self, Lineage, hex_hashes},
    system::{self, RejectedRow},
};

/// The name under which bronze keeps how far it has loaded a feed's journal.
fn ledger_id(label: &str) -> String {
    format!("intake:{label}")
}

/// The number of the last row of the journal that bronze has.
pub(crate) async fn loaded_rows(workspace: &Workspace, options: &FeedOptions) -> Result<u64, RunnerError> {
    Ok(match workspace.lake.snapshot(&options.name, None).await? {
        Some(snapshot) => snapshot.consumed(&ledger_id(&options.label)).await?.unwrap_or_default().unsigned_abs(),
        None => 0,
    })
}

/// Rows of one load, unless a single delivery has more: what models have to take through in one wave stays within memory, however
/// much arrived at once.
const ROWS_AT_ONCE: u64 = 20_000;

/// Takes deliveries from the front of the line, up to [`ROWS_AT_ONCE`].
fn take(waiting: &Waiting) -> Vec<Accepted> {
    let mut line = waiting.lock();
    let mut rows = 0;
    let fits = line.iter().take_while(|delivery| {
        rows += u64::from(delivery.rows);
        rows <= ROWS_AT_ONCE
    });
    let count = fits.count().max(1).min(line.len());
    let taken = line.drain(..count).collect();
    if !line.is_empty() {
        waiting.news.notify_one();
    }
    taken
}

/// Commits what waits, up to [`ROWS_AT_ONCE`]; the rest waits for the next call.
pub(crate) async fn load(
    workspace: &Workspace,
    options: &FeedOptions,
    waiting: &Waiting,
) -> Result<Option<u64>, RunnerError> {
    let taken = take(waiting);
    let Some(last) = taken.last() else { return Ok(None) };
    let last_row = last.first_row + u64::from(last.rows) - 1;
    let ledger = LedgerEntry::new(ledger_id(&options.label), i64::try_from(last_row).unwrap_or(i64::MAX));
    let records: Vec<&Records> = taken.iter().map(|delivery| &delivery.records).collect();
    let committed = match keep_rejected(workspace, options, &records, &ledger).await {
        Ok(()) => commit(workspace, options, &records, vec![ledger], Vec::new()).await,
        Err(error) => Err(error),
    };
    match committed {
        Ok(version) => {
            waiting.bytes.fetch_sub(taken.iter().map(|delivery| delivery.bytes).sum(), Ordering::Relaxed);
            waiting.loaded.store(last_row, Ordering::Relaxed);
            Ok(Some(version))
        }
        Err(error) => {
            // It is in the journal and stays in line: the next load takes it first.
            waiting.lock().splice(0..0, taken);
            Err(error)
        }
    }
}

/// Appends records to a bronze table; the new version.
pub(crate) async fn commit(
    workspace: &Workspace,
    options: &FeedOptions,
    records: &[&Records],
    ledger: Vec<LedgerEntry>,
    requires: Vec<(String, Option<i64>)>,
) -> Result<u64, RunnerError> {
    let batch_id = uuid::Uuid::now_v7().to_string();
    let known = match workspace.lake.head(&options.name).await? {
        Some(head) => bronze::own_columns(&head.schema()),
        None => options.columns.clone(),
    };
    let (schema, batches) = bronze_batches(options, records, known, &batch_id)?;
    let mut metadata = serde_json::Map::new();
    metadata.insert("wardlake.run".to_owned(), workspace.run_id.clone().into());
    let commit = Commit {
        ledger,
        requires,
        metadata,
        schema_change: SchemaChange::AppendNewColumns,
        is_frequent: true,
        ..Commit::default()
    };
    let rows = concat_batches(&schema, &batches)?;
    let stream = MemoryStream::try_new(vec![rows], schema, None)?;
    Ok(workspace.lake.append(&options.name, vec![Box::pin(stream)], commit).await?.version())
}

/// Rows of one file: a chunk and its lineage.
struct Part<'a> {
    file: &'a str,
    received_us: Vec<i64>,
    positions: Vec<i64>,
    chunk: Cow<'a, Chunk>,
}

/// The rows of deliveries. Messages that came one by one become rows together.
fn parts<'a>(options: &FeedOptions, records: &[&'a Records]) -> Result<Vec<Part<'a>>, RunnerError> {
    let mut parts = Vec::new();
    let is_run = |one: &&Records, next: &&Records| {
        one.message.is_some() && next.message.is_some() && Arc::ptr_eq(&one.file, &next.file)
    };
    for run in records.chunk_by(is_run) {
        let messages: Vec<_> = run.iter().filter_map(|records| Some((*records, records.message.as_ref()?))).collect();
        if let [(first, _), ..] = messages[..] {
            let mut rows = hl7::Rows::new(&options.table.format.mapping, None);
            messages.iter().for_each(|(records, row)| rows.push(records.first_position, row));
            let failed = |error| RunnerError::Source { table: options.label.clone(), error };
            parts.extend(rows.finish().map_err(failed)?.map(|chunk| Part {
                file: &first.file,
                received_us: messages.iter().map(|(records, _)| records.received_us).collect(),
                positions: messages.iter().map(|(records, _)| records.first_position).collect(),
                chunk: Cow::Owned(chunk),
            }));
        }
        for records in run {
            let mut before = 0;
            for chunk in &records.chunks {
                let positions = match &records.positions {
                    Some(positions) => positions[before..before + chunk.rows].to_vec(),
                    None => (0..chunk.rows).map(|row| records.first_position + (before + row) as i64).collect(),
                };
                let received_us = vec![records.received_us; chunk.rows];
                parts.push(Part { file: &records.file, received_us, positions, chunk: Cow::Borrowed(chunk) });
                before += chunk.rows;
            }
        }
    }
    Ok(parts)
}

/// Every chunk with every column: those bronze has, then the new ones in the order in which they came.
fn bronze_batches(
    options: &FeedOptions,
    records: &[&Records],
    mut columns: Vec<String>,
    batch_id: &str,
) -> Result<(SchemaRef, Vec<RecordBatch>), RunnerError> {
    let parts = parts(options, records)?;
    let mut known: BTreeSet<String> = columns.iter().cloned().collect();
    for column in parts.iter().flat_map(|part| &part.chunk.columns) {
        if known.insert(column.clone()) {
            columns.push(column.clone());
        }
    }
    // Without rows the commit still says how far was read.
    let mut fields: Vec<Field> = columns.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    lineage_of(options, "", Vec::new(), batch_id, &[], Vec::new()).push(&mut fields, &mut Vec::new());
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let batch = |Part { file, received_us, positions, chunk }: Part<'_>| {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for name in &columns {
            arrays.push(match chunk.columns.iter().position(|column| column == name) {
                Some(at) => Arc::clone(&chunk.arrays[at]),
                None => new_null_array(&DataType::Utf8, chunk.rows),
            });
        }
        let lineage = lineage_of(options, file, received_us, batch_id, &chunk.row_hashes, positions);
        lineage.push(&mut Vec::new(), &mut arrays);
        Ok(RecordBatch::try_new(Arc::clone(&schema), arrays)?)
    };
    let batches = parts.into_iter().map(batch).collect::<Result<_, RunnerError>>()?;
    Ok((schema, batches))
}

fn lineage_of<'a>(
    options: &'a FeedOptions,
    file: &'a str,
    received_us: Vec<i64>,
    batch_id: &'a str,
    hashes: &[u128],
    positions: Vec<i64>,
) -> Lineage<'a> {
    Lineage {
        source: &options.label,
        file,
        batch_id,
        received: received_us.into(),
        positions: positions.into(),
        hashes: hex_hashes(hashes),
        changes: StringArray::new_repeated("insert", hashes.len()),
    }
}

/// Writes down records that no row could be made of, with reason and bytes, before the commit that counts them as loaded.
/// `ledger` names the last position that is written down with it.
pub(crate) async fn keep_rejected(
    workspace: &Workspace,
    options: &FeedOptions,
    records: &[&Records],
    ledger: &LedgerEntry,
) -> Result<(), RunnerError> {
    if records.iter().all(|records| records.rejected.is_empty()) {
        return Ok(());
    }
    let ledger = LedgerEntry::new(format!("rejected:{}", ledger.app_id), ledger.version);
    // A crash may have come between this commit and that of bronze: what was kept then is not kept twice.
    let kept = match workspace.lake.snapshot(&TableName::new(system::SCHEMA, "rejected_rows")?, None).await? {
        Some(snapshot) => snapshot.consumed(&ledger.app_id).await?.unwrap_or(-1),
        None => -1,
    };
    let rejected: Vec<(&Records, &RejectedRecord)> = records
        .iter()
        .flat_map(|records| records.rejected.iter().map(move |record| (*records, record)))
        .filter(|(_, record)| record.position > kept)
        .collect();
    let rows: Vec<RejectedRow<'_>> = rejected
        .iter()
        .map(|(records, record)| RejectedRow {
            file: &records.file,
            position: record.position.unsigned_abs(),
            byte_offset: 0,
            reason: &record.reason,
            message: &record.message,
            bytes: &record.bytes,
            length: record.bytes.len() as u64,
            sha256: "",
            received_at: DateTime::from_timestamp_micros(records.received_us).unwrap_or_default(),
        })
        .collect();
    let batch = system::rejected_rows(&options.label, &rows)?;
    system::append(&workspace.lake, "rejected_rows", batch, ledger).await
}
