//! `audit.<model>`: what a run found in rows that stay, one row per finding: warnings, repaired cells, duplicates. It holds
//! the newest run's findings; older ones are the table's older versions.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray},
    datatypes::UInt64Type,
};
use wardlake_core::{LedgerEntry, TableName};
use wardlake_project::audit::{Action, Audit, HIDDEN_PREFIX};

use super::{
    Audited,
    plan::Layout,
    text::{Texts, key_texts},
};
use crate::{RunnerError, Workspace, system};

/// The schema of tables of findings.
pub(crate) const SCHEMA: &str = "audit";

#[derive(Default)]
struct Findings {
    rule: Vec<String>,
    kind: Vec<String>,
    action: Vec<&'static str>,
    column: Vec<Option<String>>,
    source: Vec<Option<String>>,
    file: Vec<Option<String>>,
    position: Vec<Option<i64>>,
    key: Vec<Option<String>>,
    raw: Vec<Option<String>>,
    value: Vec<Option<String>>,
}

/// The row a finding is about.
struct Row {
    source: Option<String>,
    file: Option<String>,
    position: Option<i64>,
    key: Option<String>,
}

impl Findings {
    #[allow(clippy::too_many_arguments, reason = "one argument per column of the table")]
    fn add(
        &mut self,
        row: &Row,
        rule: &str,
        kind: &str,
        action: &'static str,
        column: Option<&str>,
        raw: Option<&str>,
        value: Option<&str>,
    ) {
        self.rule.push(rule.to_owned());
        self.kind.push(kind.to_owned());
        self.action.push(action);
        self.column.push(column.map(str::to_owned));
        self.source.push(row.source.clone());
        self.file.push(row.file.clone());
        self.position.push(row.position);
        self.key.push(row.key.clone());
        self.raw.push(raw.map(str::to_owned));
        self.value.push(value.map(str::to_owned));
    }

    fn batch(self) -> Result<RecordBatch, RunnerError> {
        let text = |values: Vec<Option<String>>| Arc::new(StringArray::from(values)) as ArrayRef;
        let named = |values: Vec<String>| Arc::new(StringArray::from(values)) as ArrayRef;
        let columns = [
            ("rule", named(self.rule)),
            ("kind", named(self.kind)),
            ("action", Arc::new(StringArray::from(self.action)) as ArrayRef),
            ("column_name", text(self.column)),
            ("source", text(self.source)),
            ("source_file", text(self.file)),
            ("source_position", Arc::new(Int64Array::from(self.position)) as ArrayRef),
            ("row_key", text(self.key)),
            ("raw_value", text(self.raw)),
            ("value", text(self.value)),
        ];
        Ok(RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))?)
    }
}

/// Replaces the model's findings by those of this run.
pub(super) async fn record(
    workspace: &Workspace,
    model: &Audited<'_>,
    listed: &[RecordBatch],
) -> Result<(), RunnerError> {
    let Audited { audit, layout, is_partial, .. } = *model;
    let name = TableName::new(SCHEMA, model.name.name())?;
    if listed.is_empty() && !workspace.lake.exists(&name).await? {
        return Ok(());
    }
    let mut findings = Findings::default();
    for batch in listed {
        collect(batch, audit, layout, &mut findings)?;
    }
    let batch = findings.batch()?;
    if is_partial {
        let ledger = LedgerEntry::new(format!("run:{}:{name}", workspace.run_id), 1);
        return system::append_to(&workspace.lake, &name, batch, ledger).await;
    }
    system::replace(&workspace.lake, &name, batch, &workspace.run_id).await
}

fn collect(batch: &RecordBatch, audit: &Audit, layout: &Layout, into: &mut Findings) -> Result<(), RunnerError> {
    let lineage = &layout.lineage;
    let texts = |column: Option<usize>| Texts::of(column.map(|index| batch.column(index)));
    let (sources, files, positions) = (texts(lineage.source)?, texts(lineage.file)?, texts(lineage.position)?);
    let keys = key_texts(batch, &lineage.key)?;
    let flag = |index: usize| batch.column(index).as_boolean();
    let repaired: Vec<(Texts, Texts)> = layout
        .repairs
        .iter()
        .map(|columns| Ok((texts(columns.raw)?, texts(Some(columns.value))?)))
        .collect::<Result<_, RunnerError>>()?;
    // What the rule's own column holds, as received and as read.
    let asked: Vec<(Texts, Texts)> = audit
        .rules
        .iter()
        .map(|rule| match rule.check.columns().first().filter(|_| rule.action != Action::Quarantine) {
            Some(column) => {
                let raw = batch.column_by_name(&format!("{HIDDEN_PREFIX}{column}"));
                Ok((Texts::of(raw)?, Texts::of(batch.column_by_name(column))?))
            }
            None => Ok((Texts::of(None)?, Texts::of(None)?)),
        })
        .collect::<Result<_, RunnerError>>()?;
    for (index, key) in keys.into_iter().enumerate() {
        let row = Row {
            source: sources.get(index).map(str::to_owned),
            file: files.get(index).map(str::to_owned),
            position: positions.get(index).and_then(|text| text.parse().ok()),
            key,
        };
        for ((rule, column), (raws, values)) in audit.rules.iter().zip(&layout.rules).zip(&asked) {
            if rule.action != Action::Quarantine && flag(*column).value(index) {
                let (columns, action) = (rule.check.columns(), rule.action.as_str());
                let (raw, value) = (raws.get(index), values.get(index));
                into.add(&row, &rule.name, &rule.kind, action, columns.first().copied(), raw, value);
            }
        }
        for ((repair, columns), (raws, values)) in audit.repairs.iter().zip(&layout.repairs).zip(&repaired) {
            if flag(columns.flag).value(index) {
                let (raw, value) = (raws.get(index), values.get(index));
                into.add(&row, &repair.name, &repair.kind, "repair", Some(&repair.column), raw, value);
            }
        }
        if let Some(columns) = &layout.duplicates
            && batch.column(columns.place).as_primitive::<UInt64Type>().value(index) > 1
            && flag(columns.same_version).value(index)
        {
            let (rule, action) = match flag(columns.same_content).value(index) {
                true => ("duplicate", "duplicate"),
                false => ("conflicting_duplicate", "conflict"),
            };
            into.add(&row, rule, rule, action, None, None, None);
        }
    }
    Ok(())
}
