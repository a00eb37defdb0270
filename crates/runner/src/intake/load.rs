//! From the journal to bronze: one commit for all that waits.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};

use arrow::{
    array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array},
    compute::concat_batches,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::physical_plan::memory::MemoryStream;
use wardlake_connect::Chunk;
use wardlake_core::{LedgerEntry, TableName, lineage};
use wardlake_storage::{Commit, SchemaChange};

use super::{Accepted, FOLDER, FeedOptions, Waiting};
use crate::{
    RunnerError, Workspace,
    bronze::{Lineage, hex_hashes},
    system,
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

fn no_rows() -> Chunk {
    Chunk { columns: Vec::new(), arrays: Vec::new(), positions: Int64Array::from(Vec::<i64>::new()), row_hashes: Vec::new(), rows: 0 }
}

impl Accepted {
    fn nothing() -> Self {
        Self { first_row: 1, rows: 0, received_us: 0, segment: "".into(), bytes: 0, chunks: Vec::new(), rejected: Vec::new() }
    }
}

/// Commits everything that waits; what arrives meanwhile waits for the next call.
pub(crate) async fn load(
    workspace: &Workspace,
    options: &FeedOptions,
    waiting: &Waiting,
) -> Result<Option<u64>, RunnerError> {
    let taken: Vec<Accepted> = std::mem::take(&mut *waiting.lock());
    let Some(last) = taken.last() else { return Ok(None) };
    let last_row = last.first_row + u64::from(last.rows) - 1;
    match commit(workspace, options, &taken, last_row).await {
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

async fn commit(
    workspace: &Workspace,
    options: &FeedOptions,
    taken: &[Accepted],
    last_row: u64,
) -> Result<u64, RunnerError> {
    let batch_id = uuid::Uuid::now_v7().to_string();
    let ledger = LedgerEntry::new(ledger_id(&options.label), i64::try_from(last_row).unwrap_or(i64::MAX));
    keep_rejected(workspace, options, taken, &ledger).await?;
    let known = match workspace.lake.snapshot(&options.name, None).await? {
        Some(snapshot) => own_columns(&snapshot.schema()),
        None => options.columns.clone(),
    };
    let (schema, batches) = bronze_batches(options, taken, known, &batch_id)?;
    let mut metadata = serde_json::Map::new();
    metadata.insert("wardlake.run".to_owned(), workspace.run_id.clone().into());
    let commit = Commit {
        ledger: vec![ledger],
        metadata,
        schema_change: SchemaChange::AppendNewColumns,
        ..Commit::default()
    };
    let rows = concat_batches(&schema, &batches)?;
    let stream = MemoryStream::try_new(vec![rows], schema, None)?;
    Ok(workspace.lake.append(&options.name, vec![Box::pin(stream)], commit).await?.version())
}

/// The columns of a bronze table that are the source's own.
fn own_columns(schema: &SchemaRef) -> Vec<String> {
    let names = schema.fields().iter().map(|field| field.name().clone());
    names.filter(|name| !lineage::ALL.contains(&name.as_str())).collect()
}

/// Every chunk with every column: those bronze has, then the new ones in the order in which they came.
fn bronze_batches(
    options: &FeedOptions,
    taken: &[Accepted],
    mut columns: Vec<String>,
    batch_id: &str,
) -> Result<(SchemaRef, Vec<RecordBatch>), RunnerError> {
    let mut known: BTreeSet<String> = columns.iter().cloned().collect();
    for chunk in taken.iter().flat_map(|delivery| &delivery.chunks) {
        for column in &chunk.columns {
            if known.insert(column.clone()) {
                columns.push(column.clone());
            }
        }
    }
    let mut batches = Vec::new();
    let mut schema: Option<SchemaRef> = None;
    for delivery in taken {
        let mut before = 0;
        for chunk in &delivery.chunks {
            let mut fields = Vec::with_capacity(columns.len() + lineage::ALL.len());
            let mut arrays: Vec<ArrayRef> = Vec::with_capacity(fields.capacity());
            for name in &columns {
                fields.push(Field::new(name, DataType::Utf8, true));
                arrays.push(match chunk.columns.iter().position(|column| column == name) {
                    Some(at) => Arc::clone(&chunk.arrays[at]),
                    None => new_null_array(&DataType::Utf8, chunk.rows),
                });
            }
            let mut lineage = lineage_of(options, delivery, chunk, batch_id);
            let file = format!("{FOLDER}/{}/{}", options.label, delivery.segment);
            lineage.file = &file;
            let first = delivery.first_row + before;
            lineage.positions = (first..first + chunk.rows as u64).map(|row| row as i64).collect::<Vec<_>>().into();
            lineage.push(&mut fields, &mut arrays);
            let schema = schema.get_or_insert_with(|| Arc::new(Schema::new(fields)));
            batches.push(RecordBatch::try_new(Arc::clone(schema), arrays)?);
            before += chunk.rows as u64;
        }
    }
    let schema = match schema {
        Some(schema) => schema,
        // Rejected records only: the commit still says how far the journal was read.
        None => {
            let mut fields: Vec<Field> = columns.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
            lineage_of(options, &Accepted::nothing(), &no_rows(), batch_id).push(&mut fields, &mut Vec::new());
            Arc::new(Schema::new(fields))
        }
    };
    Ok((schema, batches))
}

fn lineage_of<'a>(options: &'a FeedOptions, delivery: &'a Accepted, chunk: &Chunk, batch_id: &'a str) -> Lineage<'a> {
    Lineage {
        source: &options.label,
        file: &delivery.segment,
        batch_id,
        received_us: delivery.received_us,
        positions: chunk.positions.clone(),
        hashes: hex_hashes(&chunk.row_hashes),
        changes: StringArray::new_repeated("insert", chunk.rows),
    }
}

/// Records that no row could be made of, with reason and bytes, before the commit that counts them as loaded.
async fn keep_rejected(
    workspace: &Workspace,
    options: &FeedOptions,
    taken: &[Accepted],
    ledger: &LedgerEntry,
) -> Result<(), RunnerError> {
    if taken.iter().all(|delivery| delivery.rejected.is_empty()) {
        return Ok(());
    }
    let ledger = LedgerEntry::new(format!("rejected:{}", ledger.app_id), ledger.version);
    // A crash may have come between this commit and that of bronze: what was kept then is not kept twice.
    let kept = match workspace.lake.snapshot(&TableName::new(system::SCHEMA, "rejected_rows")?, None).await? {
        Some(snapshot) => snapshot.consumed(&ledger.app_id).await?.unwrap_or_default().unsigned_abs(),
        None => 0,
    };
    let records: Vec<(&Accepted, &super::RejectedRecord)> = taken
        .iter()
        .filter(|delivery| delivery.first_row > kept)
        .flat_map(|delivery| delivery.rejected.iter().map(move |record| (delivery, record)))
        .collect();
    let count = records.len();
    let texts = |of: &dyn Fn(&(&Accepted, &super::RejectedRecord)) -> String| -> ArrayRef {
        Arc::new(records.iter().map(|record| Some(of(record))).collect::<StringArray>())
    };
    let numbers = |of: &dyn Fn(&(&Accepted, &super::RejectedRecord)) -> i64| -> ArrayRef {
        Arc::new(records.iter().map(|record| Some(of(record))).collect::<Int64Array>())
    };
    let received: TimestampMicrosecondArray = records.iter().map(|(delivery, _)| Some(delivery.received_us)).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        (lineage::SOURCE, Arc::new(StringArray::new_repeated(options.label.as_str(), count))),
        (lineage::FILE, texts(&|(delivery, _)| format!("{FOLDER}/{}/{}", options.label, delivery.segment))),
        (lineage::POSITION, numbers(&|(delivery, _)| delivery.first_row as i64)),
        ("byte_offset", numbers(&|_| 0)),
        ("reason", texts(&|(_, record)| record.reason.clone())),
        ("message", texts(&|(_, record)| record.message.clone())),
        ("bytes", Arc::new(BinaryArray::from_iter_values(records.iter().map(|(_, record)| &record.bytes)))),
        ("length", numbers(&|(_, record)| record.bytes.len() as i64)),
        ("sha256", texts(&|_| String::new())),
        (lineage::RECEIVED_AT, Arc::new(received.with_timezone("UTC"))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))?;
    system::append(&workspace.lake, "rejected_rows", batch, ledger).await
}
