//! Withheld rows of a run as rows of `quarantine.<model>`: as the table would be if nothing had been withheld before.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{
        ArrayRef, AsArray, BooleanArray, ListBuilder, RecordBatch, StringArray, StringBuilder,
        TimestampMicrosecondArray, new_null_array,
    },
    compute::{cast, filter_record_batch},
    datatypes::DataType,
};
use wardlake_core::RowHasher;

use super::{
    ModelRun,
    received::json_rows,
    split::Ledger,
    text::{key_texts, texts, value},
};
use crate::error::BuildError;

pub(super) use wardlake_records::quarantine::schema;

/// Every withheld row once, open, first and last seen in this run; `raw` is known here only where a row has no lineage.
pub(super) fn rows(ledger: &Ledger, withheld: &[RecordBatch], run: &ModelRun) -> Result<Vec<RecordBatch>, BuildError> {
    let mut known = HashSet::new();
    let rows = |batch: &RecordBatch| {
        let (ids, rows) = rows_of(ledger, batch, run)?;
        let is_first: BooleanArray = ids.into_iter().map(|id| Some(known.insert(id))).collect();
        if is_first.has_false() { Ok(filter_record_batch(&rows, &is_first)?) } else { Ok(rows) }
    };
    withheld.iter().map(rows).collect()
}

fn rows_of(ledger: &Ledger, batch: &RecordBatch, run: &ModelRun) -> Result<(Vec<u128>, RecordBatch), BuildError> {
    let (layout, count) = (ledger.kept(), batch.num_rows());
    let lineage = &layout.lineage;
    let (files, positions) = (texts(batch, lineage.file)?, texts(batch, lineage.position)?);
    let batches = texts(batch, lineage.batch)?;
    // Without lineage a row is known by its values alone.
    let raw = match lineage.file {
        Some(_) => None,
        None => Some(json_rows(&batch.project(&layout.visible)?)?),
    };
    let mut hasher = RowHasher::default();
    let mut id_of = |row: usize| {
        let raw = raw.as_ref().map(|raw| raw.value(row));
        for part in [value(&files, row), value(&positions, row), value(&batches, row), raw] {
            hasher.field(part.map(str::as_bytes));
        }
        hasher.finish()
    };
    let ids: Vec<_> = (0..count).map(&mut id_of).collect();
    let (rules, kinds) = broken(ledger, batch);
    let same = |text: &str| Arc::new(StringArray::new_repeated(text, count)) as ArrayRef;
    let now = || {
        let at = TimestampMicrosecondArray::from_value(run.at_us, count);
        Arc::new(at.with_timezone("UTC")) as ArrayRef
    };
    let columns = vec![
        Arc::new(StringArray::from_iter_values(ids.iter().map(ToString::to_string))) as ArrayRef,
        same("open"),
        rules,
        kinds,
        Arc::new(texts(batch, lineage.source)?),
        Arc::new(files),
        cast(&positions, &DataType::Int64)?,
        Arc::new(batches),
        Arc::new(key_texts(batch, &lineage.key)?),
        raw.map_or_else(|| new_null_array(&DataType::Utf8, count), |raw| Arc::new(raw) as ArrayRef),
        now(),
        now(),
        same(&run.run_id),
        same(&run.run_id),
    ];
    Ok((ids.into_iter().map(|id| id.0).collect(), RecordBatch::try_new(schema(), columns)?))
}

/// Names and kinds of the rules each row broke.
fn broken(ledger: &Ledger, batch: &RecordBatch) -> (ArrayRef, ArrayRef) {
    let flags = ledger.kept().rules.iter().map(|index| batch.column(*index).as_boolean());
    // Most rules are broken by none of these rows.
    let rules: Vec<_> = flags.zip(&ledger.audit().rules).filter(|(flags, _)| flags.has_true()).collect();
    let mut names = ListBuilder::new(StringBuilder::new());
    let mut kinds = ListBuilder::new(StringBuilder::new());
    for row in 0..batch.num_rows() {
        let mut last_kind = None;
        for (_, rule) in rules.iter().filter(|(flags, _)| flags.value(row)) {
            names.values().append_value(&rule.name);
            // Rules of one kind stand side by side.
            if last_kind.replace(&rule.kind) != Some(&rule.kind) {
                kinds.values().append_value(&rule.kind);
            }
        }
        names.append(true);
        kinds.append(true);
    }
    (Arc::new(names.finish()), Arc::new(kinds.finish()))
}
