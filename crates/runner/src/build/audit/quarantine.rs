//! `quarantine.<model>`: the rows a model withholds, with their raw text and every rule they broke. A row keeps its state and
//! its first appearance from run to run; one that no longer breaks a rule is released.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
        TimestampMicrosecondArray,
    },
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType},
    json::{LineDelimitedWriter, WriterBuilder, writer::LineDelimited},
};
use chrono::Utc;
use datafusion::{common::TableReference, prelude::JoinType};
use wardlake_core::{RowHasher, TableName, lineage};
use wardlake_engine::Session;
use wardlake_project::{
    Node,
    audit::{Audit, RelationCall},
};

use super::{
    Audited,
    plan::Layout,
    text::{Texts, key_texts},
};
use crate::{RunnerError, Workspace, adapter::table_name, system};

/// The schema of tables of withheld rows.
pub(crate) const SCHEMA: &str = "quarantine";

/// One withheld row.
#[derive(Clone, Debug)]
struct Withheld {
    state: String,
    rules: Vec<String>,
    kinds: Vec<String>,
    source: Option<String>,
    file: Option<String>,
    position: Option<i64>,
    batch: Option<String>,
    row_key: Option<String>,
    raw: Option<String>,
    first_seen_us: i64,
    last_seen_us: i64,
    first_run: String,
    last_run: String,
}

/// The table of a model's withheld rows.
pub(crate) fn table_of(model: &TableName) -> Result<TableName, RunnerError> {
    Ok(TableName::new(SCHEMA, model.name())?)
}

/// Lays what a run withheld over what was withheld before. Returns how many rows are open now.
pub(super) async fn record(
    workspace: &Workspace,
    session: &Session,
    model: &Audited<'_>,
    found: &[RecordBatch],
) -> Result<u64, RunnerError> {
    let Audited { node, audit, layout, is_partial, .. } = *model;
    let name = table_of(model.name)?;
    let mut rows = read(session, &name).await?;
    if found.is_empty() && rows.is_empty() {
        return Ok(0);
    }
    let now = Utc::now().timestamp_micros();
    let mut current = BTreeMap::new();
    for batch in found {
        collect(batch, audit, layout, &workspace.run_id, now, &mut current)?;
    }
    let mut is_changed = false;
    for (id, found) in &mut current {
        match rows.remove(id) {
            Some(known) => {
                found.first_seen_us = known.first_seen_us;
                found.first_run = known.first_run;
                // A person's word about a row stands while the row does.
                found.state = if known.state == "released" { "open".to_owned() } else { known.state };
                found.raw = known.raw.or(found.raw.take());
                is_changed |= known.rules != found.rules;
            }
            None => is_changed = true,
        }
    }
    for (id, mut gone) in rows {
        // A run over new rows alone says nothing about the others.
        if gone.state == "open" && !is_partial {
            gone.state = "released".to_owned();
            is_changed = true;
        }
        current.insert(id, gone);
    }
    let open = current.values().filter(|row| row.state == "open").count() as u64;
    if is_changed {
        fetch_raw(workspace, session, node, audit, &mut current).await?;
        write(workspace, &name, &current).await?;
    }
    Ok(open)
}

/// Withheld rows of one batch by their ids.
fn collect(
    batch: &RecordBatch,
    audit: &Audit,
    layout: &Layout,
    run_id: &str,
    now: i64,
    into: &mut BTreeMap<String, Withheld>,
) -> Result<(), RunnerError> {
    let lineage = &layout.lineage;
    let texts = |column: Option<usize>| Texts::of(column.map(|index| batch.column(index)));
    let (sources, files, batches) = (texts(lineage.source)?, texts(lineage.file)?, texts(lineage.batch)?);
    let positions = texts(lineage.position)?;
    let keys = key_texts(batch, &lineage.key)?;
    let flags: Vec<_> = layout.rules.iter().map(|index| batch.column(*index).as_boolean()).collect();
    // Without lineage a row is known by its values alone.
    let own_rows = match lineage.file {
        Some(_) => Vec::new(),
        None => json_rows(&batch.project(&layout.visible)?)?,
    };
    let mut hasher = RowHasher::default();
    for (row, row_key) in keys.into_iter().enumerate() {
        let own = own_rows.get(row);
        for part in [files.get(row), positions.get(row), batches.get(row), own.map(String::as_str)] {
            hasher.field(part.map(str::as_bytes));
        }
        let id = hasher.finish().to_string();
        let broken = || flags.iter().zip(&audit.rules).filter(|(flags, _)| flags.value(row)).map(|(_, rule)| rule);
        let mut kinds: Vec<String> = broken().map(|rule| rule.kind.clone()).collect();
        kinds.dedup();
        into.insert(
            id,
            Withheld {
                state: "open".to_owned(),
                rules: broken().map(|rule| rule.name.clone()).collect(),
                kinds,
                source: sources.get(row).map(str::to_owned),
                file: files.get(row).map(str::to_owned),
                position: positions.get(row).and_then(|text| text.parse().ok()),
                batch: batches.get(row).map(str::to_owned),
                row_key,
                raw: own.cloned(),
                first_seen_us: now,
                last_seen_us: now,
                first_run: run_id.to_owned(),
                last_run: run_id.to_owned(),
            },
        );
    }
    Ok(())
}

/// The raw rows of those that lack theirs, from the bronze table they came from.
async fn fetch_raw(
    workspace: &Workspace,
    session: &Session,
    node: &Node,
    audit: &Audit,
    rows: &mut BTreeMap<String, Withheld>,
) -> Result<(), RunnerError> {
    let Some(input @ RelationCall::Source(_)) = &audit.input else { return Ok(()) };
    let Some(bronze) = workspace.project.find(&node.package, input).and_then(|(_, relation)| table_name(relation))
    else {
        return Ok(());
    };
    let wanted: Vec<(&String, &Withheld)> =
        rows.iter().filter(|(_, row)| row.raw.is_none() && row.batch.is_some()).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let text = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
    let found = RecordBatch::try_from_iter([
        ("wanted_id", text(wanted.iter().map(|(id, _)| Some(id.as_str())).collect())),
        ("wanted_file", text(wanted.iter().map(|(_, row)| row.file.as_deref()).collect())),
        ("wanted_position", Arc::new(wanted.iter().map(|(_, row)| row.position).collect::<Int64Array>())),
        ("wanted_batch", text(wanted.iter().map(|(_, row)| row.batch.as_deref()).collect())),
    ])?;
    let context = session.context();
    let table = context.table(TableReference::full("lake", bronze.schema(), bronze.name())).await?;
    let batches = table
        .join(
            context.read_batch(found)?,
            JoinType::Inner,
            &[lineage::FILE, lineage::POSITION, lineage::BATCH_ID],
            &["wanted_file", "wanted_position", "wanted_batch"],
            None,
        )?
        .collect()
        .await?;
    for batch in &batches {
        let schema = batch.schema();
        let own: Vec<usize> = (0..batch.num_columns())
            .filter(|index| {
                let name = schema.field(*index).name().as_str();
                !lineage::ALL.contains(&name) && !name.starts_with("wanted_")
            })
            .collect();
        let ids = Texts::of(batch.column_by_name("wanted_id"))?;
        for (row, raw) in json_rows(&batch.project(&own)?)?.into_iter().enumerate() {
            if let Some(known) = ids.get(row).and_then(|id| rows.get_mut(id)) {
                known.raw = Some(raw);
            }
        }
    }
    Ok(())
}

/// Every row as a JSON object, NULL included.
pub(crate) fn json_rows(batch: &RecordBatch) -> Result<Vec<String>, RunnerError> {
    if batch.num_rows() == 0 {
        return Ok(Vec::new());
    }
    let mut bytes = Vec::new();
    let mut writer: LineDelimitedWriter<_> =
        WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut bytes);
    writer.write(batch)?;
    writer.finish()?;
    drop(writer);
    Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
}

fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let list = |name: &str| Field::new(name, DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))), true);
    let instant = |name: &str| Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true);
    Arc::new(Schema::new(vec![
        text("quarantine_id"),
        text("state"),
        list("rules"),
        list("kinds"),
        text("source"),
        text("source_file"),
        Field::new("source_position", DataType::Int64, true),
        text("batch_id"),
        text("row_key"),
        text("raw"),
        instant("first_seen_at"),
        instant("last_seen_at"),
        text("first_run_id"),
        text("last_run_id"),
    ]))
}

async fn write(workspace: &Workspace, name: &TableName, rows: &BTreeMap<String, Withheld>) -> Result<(), RunnerError> {
    let text = |of: fn(&Withheld) -> Option<&str>| Arc::new(rows.values().map(of).collect::<StringArray>()) as ArrayRef;
    let list = |of: fn(&Withheld) -> &[String]| {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for row in rows.values() {
            of(row).iter().for_each(|value| lists.values().append_value(value));
            lists.append(true);
        }
        Arc::new(lists.finish()) as ArrayRef
    };
    let instant = |of: fn(&Withheld) -> i64| {
        let values: TimestampMicrosecondArray = rows.values().map(|row| Some(of(row))).collect();
        Arc::new(values.with_timezone("UTC")) as ArrayRef
    };
    let columns = vec![
        Arc::new(rows.keys().map(Some).collect::<StringArray>()) as ArrayRef,
        text(|row| Some(&row.state)),
        list(|row| &row.rules),
        list(|row| &row.kinds),
        text(|row| row.source.as_deref()),
        text(|row| row.file.as_deref()),
        Arc::new(rows.values().map(|row| row.position).collect::<Int64Array>()),
        text(|row| row.batch.as_deref()),
        text(|row| row.row_key.as_deref()),
        text(|row| row.raw.as_deref()),
        instant(|row| row.first_seen_us),
        instant(|row| row.last_seen_us),
        text(|row| Some(&row.first_run)),
        text(|row| Some(&row.last_run)),
    ];
    system::replace(&workspace.lake, name, RecordBatch::try_new(schema(), columns)?, &workspace.run_id).await
}

/// Gives rows another state.
pub(crate) async fn set_state(
    workspace: &Workspace,
    session: &Session,
    name: &TableName,
    ids: &[&str],
    state: &str,
) -> Result<(), RunnerError> {
    let mut rows = read(session, name).await?;
    for id in ids {
        if let Some(row) = rows.get_mut(*id) {
            state.clone_into(&mut row.state);
        }
    }
    write(workspace, name, &rows).await
}

/// What is withheld so far, by id.
async fn read(session: &Session, name: &TableName) -> Result<BTreeMap<String, Withheld>, RunnerError> {
    let mut rows = BTreeMap::new();
    if session.schema(name).await?.is_none() {
        return Ok(rows);
    }
    for batch in session.collect(&format!("select * from {}", name.quoted())).await? {
        let texts = |column: &str| Texts::of(batch.column_by_name(column));
        let instants = |column: &str| {
            batch
                .column_by_name(column)
                .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>().cloned())
        };
        let positions = batch.column_by_name("source_position").and_then(|c| c.as_primitive_opt::<Int64Type>());
        let (ids, states) = (texts("quarantine_id")?, texts("state")?);
        let (sources, files, batches) = (texts("source")?, texts("source_file")?, texts("batch_id")?);
        let (keys, raws) = (texts("row_key")?, texts("raw")?);
        let (first_runs, last_runs) = (texts("first_run_id")?, texts("last_run_id")?);
        let (first_seen, last_seen) = (instants("first_seen_at"), instants("last_seen_at"));
        let owned = |texts: &Texts, row: usize| texts.get(row).map(str::to_owned);
        for row in 0..batch.num_rows() {
            let Some(id) = owned(&ids, row) else { continue };
            rows.insert(
                id,
                Withheld {
                    state: owned(&states, row).unwrap_or_else(|| "open".to_owned()),
                    rules: list_texts(batch.column_by_name("rules"), row)?,
                    kinds: list_texts(batch.column_by_name("kinds"), row)?,
                    source: owned(&sources, row),
                    file: owned(&files, row),
                    position: positions.filter(|p| p.is_valid(row)).map(|p| p.value(row)),
                    batch: owned(&batches, row),
                    row_key: owned(&keys, row),
                    raw: owned(&raws, row),
                    first_seen_us: first_seen.as_ref().map_or(0, |values| values.value(row)),
                    last_seen_us: last_seen.as_ref().map_or(0, |values| values.value(row)),
                    first_run: owned(&first_runs, row).unwrap_or_default(),
                    last_run: owned(&last_runs, row).unwrap_or_default(),
                },
            );
        }
    }
    Ok(rows)
}

fn list_texts(column: Option<&ArrayRef>, row: usize) -> Result<Vec<String>, RunnerError> {
    let Some(list) = column.and_then(|column| column.as_list_opt::<i32>()).filter(|list| list.is_valid(row)) else {
        return Ok(Vec::new());
    };
    let values = list.value(row);
    let texts = Texts::of(Some(&values))?;
    Ok((0..values.len()).filter_map(|index| texts.get(index).map(str::to_owned)).collect())
}
