//! `audit.<model>`: what a run found in rows that stay, one row per finding: warnings, repaired cells, duplicates. It holds
//! the newest run's findings; older ones are the table's older versions.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, new_null_array},
    compute::{FilterBuilder, FilterPredicate, and, and_not, cast, concat_batches},
    datatypes::{DataType, UInt64Type},
    error::ArrowError,
};
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream, physical_plan::stream::RecordBatchStreamAdapter,
};
use wardlake_core::{LedgerEntry, TableName};
use wardlake_load::Workspace;
use wardlake_project::audit::{Action, Audit, HIDDEN_PREFIX};
use wardlake_records::system;

use super::{
    Audited,
    plan::Layout,
    split::Ledger,
    text::{key_texts, text, texts},
};
use crate::error::BuildError;

pub(super) use wardlake_records::findings::{SCHEMA, schema};

/// Replaces the model's findings by those of a run, or adds them where it read only what is new; once, however often it is called.
pub(super) async fn record(
    workspace: &Workspace,
    model: &Audited<'_>,
    mut found: Vec<SendableRecordBatchStream>,
) -> Result<(), BuildError> {
    let name = TableName::new(SCHEMA, model.name.name())?;
    if found.is_empty() {
        if model.run.is_partial || !workspace.lake.exists(&name).await? {
            return Ok(());
        }
        let none = futures::stream::empty::<Result<RecordBatch, DataFusionError>>();
        found.push(Box::pin(RecordBatchStreamAdapter::new(schema(), none)));
    }
    let ledger = LedgerEntry::new(format!("run:{}:{}", model.run.run_id, model.name), 1);
    match model.run.is_partial {
        true => Ok(system::append_streams(&workspace.lake, &name, found, ledger).await?),
        false => Ok(system::replace(&workspace.lake, &name, found, ledger).await?),
    }
}

/// The findings in these rows, worked out as they are written: a stream per thread.
pub(super) fn streams(ledger: &Arc<Ledger>, listed: &[RecordBatch], threads: usize) -> Vec<SendableRecordBatchStream> {
    let stream = |batches: &[RecordBatch]| {
        let ledger = Arc::clone(ledger);
        let found = Vec::from(batches).into_iter();
        let found =
            found.map(move |batch| findings(&batch, ledger.audit(), ledger.kept()).map_err(DataFusionError::from));
        Box::pin(RecordBatchStreamAdapter::new(schema(), futures::stream::iter(found))) as SendableRecordBatchStream
    };
    listed.chunks(listed.len().div_ceil(threads.max(1)).max(1)).map(stream).collect()
}

/// The findings in these rows.
pub(super) fn rows(ledger: &Ledger, listed: &[RecordBatch]) -> Result<Vec<RecordBatch>, ArrowError> {
    listed.iter().map(|batch| findings(batch, ledger.audit(), ledger.kept())).collect()
}

/// Findings as they were worked out before, as a stream, if there are any.
pub(super) fn stored(found: Vec<RecordBatch>) -> Vec<SendableRecordBatchStream> {
    if found.is_empty() {
        return Vec::new();
    }
    let rows = futures::stream::iter(found.into_iter().map(Ok::<_, DataFusionError>));
    vec![Box::pin(RecordBatchStreamAdapter::new(schema(), rows))]
}

/// What all rows of one finding have in common.
struct Finding<'a> {
    rule: &'a str,
    kind: &'a str,
    action: &'static str,
    column: Option<&'a str>,
}

/// One row per finding in `batch`, declaration by declaration.
fn findings(batch: &RecordBatch, audit: &Audit, layout: &Layout) -> Result<RecordBatch, ArrowError> {
    let places = Places::of(batch, layout)?;
    let flag = |index: usize| batch.column(index).as_boolean();
    let mut found = Vec::new();
    let mut add = |mask: &BooleanArray, finding: Finding<'_>, raw: Option<&ArrayRef>, value: Option<&ArrayRef>| {
        if mask.has_true() {
            found.push(places.found(mask, &finding, raw, value)?);
        }
        Ok::<(), ArrowError>(())
    };
    for (rule, column) in audit.rules.iter().zip(&layout.rules) {
        // Withheld rows name their rules themselves.
        if rule.action == Action::Quarantine {
            continue;
        }
        // What the rule's own column holds, as received and as read.
        let about = rule.check.columns().first().copied();
        let raw = about.and_then(|name| batch.column_by_name(&format!("{HIDDEN_PREFIX}{name}")));
        let value = about.and_then(|name| batch.column_by_name(name));
        let finding = Finding { rule: &rule.name, kind: &rule.kind, action: rule.action.as_str(), column: about };
        add(flag(*column), finding, raw, value)?;
    }
    for (repair, columns) in audit.repairs.iter().zip(&layout.repairs) {
        let (raw, value) = (columns.raw.map(|raw| batch.column(raw)), batch.column(columns.value));
        let finding =
            Finding { rule: &repair.name, kind: &repair.kind, action: "repair", column: Some(&repair.column) };
        add(flag(columns.flag), finding, raw, Some(value))?;
    }
    if let Some(columns) = &layout.duplicates {
        let places = batch.column(columns.place).as_primitive::<UInt64Type>();
        let is_further: BooleanArray = places.values().iter().map(|place| Some(*place > 1)).collect();
        let is_duplicate = and(&is_further, flag(columns.same_version))?;
        let is_same = flag(columns.same_content);
        for (mask, rule, action) in [
            (and(&is_duplicate, is_same)?, "duplicate", "duplicate"),
            (and_not(&is_duplicate, is_same)?, "conflicting_duplicate", "conflict"),
        ] {
            add(&mask, Finding { rule, kind: rule, action, column: None }, None, None)?;
        }
    }
    concat_batches(&schema(), &found)
}

/// Where the rows of a batch came from and how people call them.
struct Places {
    source: ArrayRef,
    file: ArrayRef,
    position: ArrayRef,
    key: ArrayRef,
}

impl Places {
    fn of(batch: &RecordBatch, layout: &Layout) -> Result<Self, ArrowError> {
        let lineage = &layout.lineage;
        let position = match lineage.position {
            Some(index) => cast(batch.column(index), &DataType::Int64)?,
            None => new_null_array(&DataType::Int64, batch.num_rows()),
        };
        Ok(Self {
            source: Arc::new(texts(batch, lineage.source)?),
            file: Arc::new(texts(batch, lineage.file)?),
            position,
            key: Arc::new(key_texts(batch, &lineage.key)?),
        })
    }

    /// The rows that `mask` names, as rows of the table.
    fn found(
        &self,
        mask: &BooleanArray,
        finding: &Finding<'_>,
        raw: Option<&ArrayRef>,
        value: Option<&ArrayRef>,
    ) -> Result<RecordBatch, ArrowError> {
        let rows: FilterPredicate = FilterBuilder::new(mask).optimize().build();
        let same = |text: &str| Arc::new(StringArray::new_repeated(text, rows.count())) as ArrayRef;
        let none = || new_null_array(&DataType::Utf8, rows.count());
        let cells = |column: Option<&ArrayRef>| match column {
            Some(column) => Ok(Arc::new(text(&rows.filter(column)?)?) as ArrayRef),
            None => Ok::<_, ArrowError>(none()),
        };
        let columns = vec![
            same(finding.rule),
            same(finding.kind),
            same(finding.action),
            finding.column.map_or_else(none, same),
            rows.filter(&self.source)?,
            rows.filter(&self.file)?,
            rows.filter(&self.position)?,
            rows.filter(&self.key)?,
            cells(raw)?,
            cells(value)?,
        ];
        RecordBatch::try_new(schema(), columns)
    }
}
