//! Rows of a feed as bronze takes them: the columns of all that goes into one commit, with where each row came from.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{ArrayBuilder, ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder, new_null_array},
    compute::concat_batches,
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};
use wardlake_connect::{Chunk, hl7};
use wardlake_core::{
    columns::{ColumnList, MOST_COLUMNS},
    lineage,
};

use super::{FeedOptions, Origin, Records};
use crate::{
    bronze::{self, Lineage, hex_hashes},
    error::LoadError,
};

/// Rows as bronze takes them.
pub(crate) struct Prepared {
    pub(super) rows: RecordBatch,
    /// The source's own columns: those that the table had, then the new ones in the order in which they came.
    pub(crate) columns: ColumnList,
}

/// Makes rows of records, for a table with these columns. What fails here fails for what the records hold.
pub(crate) fn prepare(
    options: &FeedOptions,
    records: &[&Records],
    mut columns: ColumnList,
) -> Result<Prepared, LoadError> {
    let mut parts = parts(options, records)?;
    let most = columns.len().max(MOST_COLUMNS);
    // Most parts have the columns of the one before.
    let mut settled: Vec<String> = Vec::new();
    for Part { chunk, .. } in &mut parts {
        if chunk.columns != settled {
            bronze::spell(chunk, &columns);
            chunk.columns.iter().for_each(|name| {
                columns.add(name);
            });
            settled.clone_from(&chunk.columns);
        }
    }
    let shape = |message: &str| LoadError::Shape { table: options.name.clone(), message: message.to_owned() };
    if columns.len() > most {
        return Err(shape(&format!("a table has at most {most} columns, and this would bring it more")));
    }
    let rows = parts.iter().map(|part| part.chunk.rows).sum();
    let mut arrays = own_arrays(&parts, &columns, rows).map_err(|error| match error {
        Unfit::Arrow(error) => LoadError::from(error),
        Unfit::Columns => shape("rows with two values in one column"),
    })?;
    let mut fields: Vec<Field> = columns.names().iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    let lineage = lineage_of_parts(options, &parts)?;
    fields.extend(lineage.schema().fields().iter().map(|field| field.as_ref().clone()));
    arrays.extend(lineage.columns().iter().cloned());
    for (name, array) in origin_of_parts(&parts) {
        fields.push(Field::new(name, DataType::Utf8, true));
        arrays.push(array);
    }
    Ok(Prepared { rows: RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?, columns })
}

/// Why chunks do not make columns.
enum Unfit {
    Arrow(ArrowError),
    Columns,
}

/// Every column of the table. A delivery has few rows and few of the columns: what a load costs goes by the values that there are, and the
/// columns without any share one array.
fn own_arrays(parts: &[Part<'_>], columns: &ColumnList, rows: usize) -> Result<Vec<ArrayRef>, Unfit> {
    let mut builders: Vec<Option<StringBuilder>> = columns.names().iter().map(|_| None).collect();
    let (mut names, mut places): (&[String], Vec<Option<usize>>) = (&[], Vec::new());
    let mut before = 0_usize;
    for Part { chunk, .. } in parts {
        if chunk.columns != names {
            names = &chunk.columns;
            places = names.iter().map(|name| columns.place(name)).collect();
        }
        for (place, array) in places.iter().zip(&chunk.arrays) {
            let builder = place.and_then(|place| builders.get_mut(place)).ok_or(Unfit::Columns)?;
            let builder = builder.get_or_insert_with(StringBuilder::new);
            fill(builder, before).ok_or(Unfit::Columns)?;
            builder.append_array(array.as_string_opt::<i32>().ok_or(Unfit::Columns)?).map_err(Unfit::Arrow)?;
        }
        before += chunk.rows;
    }
    let nothing = new_null_array(&DataType::Utf8, rows);
    let array = |builder: Option<StringBuilder>| match builder {
        Some(mut builder) => {
            fill(&mut builder, rows).ok_or(Unfit::Columns)?;
            Ok(Arc::new(builder.finish()) as ArrayRef)
        }
        None => Ok(Arc::clone(&nothing)),
    };
    builders.into_iter().map(array).collect()
}

/// Fills a column up to so many rows; none if it has more.
fn fill(builder: &mut StringBuilder, rows: usize) -> Option<()> {
    let missing = rows.checked_sub(builder.len())?;
    if missing > 0 {
        builder.append_nulls(missing);
    }
    Some(())
}

/// The lineage columns of all parts.
fn lineage_of_parts(options: &FeedOptions, parts: &[Part<'_>]) -> Result<RecordBatch, LoadError> {
    let batch_id = uuid::Uuid::now_v7().to_string();
    let mut fields = Vec::new();
    let keeps_raw = options.table.keep_raw;
    // Without rows the commit still says how far was read.
    let mut nothing = lineage_of(options, "", Vec::new(), &batch_id, &[], Vec::new())?;
    nothing.kept = keeps_raw.then(|| bronze::no_records(0));
    nothing.push(&mut fields, &mut Vec::new());
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let batch = |Part { file, received_us, positions, chunk, .. }: &Part<'_>| {
        let mut arrays = Vec::new();
        let mut lineage =
            lineage_of(options, file, received_us.clone(), &batch_id, &chunk.row_hashes, positions.clone())?;
        lineage.kept = keeps_raw.then(|| chunk.kept.clone().unwrap_or_else(|| bronze::no_records(chunk.rows)));
        lineage.push(&mut Vec::new(), &mut arrays);
        RecordBatch::try_new(Arc::clone(&schema), arrays)
    };
    let batches = parts.iter().map(batch).collect::<Result<Vec<_>, _>>()?;
    Ok(concat_batches(&schema, &batches)?)
}

/// The columns that say by which way rows came; none where nothing is known of any: a table gets them with the first rows that need them.
fn origin_of_parts(parts: &[Part<'_>]) -> Vec<(&'static str, ArrayRef)> {
    let origins = || parts.iter().flat_map(|part| part.origins.iter().copied());
    if origins().all(Origin::is_unknown) {
        return Vec::new();
    }
    let texts = |text: fn(&Origin) -> &str| {
        let filled = origins().map(|origin| Some(text(origin)).filter(|text| !text.is_empty()));
        Arc::new(filled.collect::<StringArray>()) as ArrayRef
    };
    vec![
        (lineage::PEER, texts(|origin| origin.peer.as_str())),
        (lineage::ANSWER, texts(|origin| origin.answer.as_str())),
    ]
}

/// Rows of one file: a chunk and its lineage.
struct Part<'a> {
    file: &'a str,
    received_us: Vec<i64>,
    positions: Vec<i64>,
    /// Of each row.
    origins: Vec<&'a Origin>,
    chunk: Cow<'a, Chunk>,
}

/// The rows of deliveries. Messages that came one by one become rows together.
fn parts<'a>(options: &FeedOptions, records: &[&'a Records]) -> Result<Vec<Part<'a>>, LoadError> {
    let mut parts = Vec::new();
    let is_run = |one: &&Records, next: &&Records| {
        one.message.is_some() && next.message.is_some() && Arc::ptr_eq(&one.file, &next.file)
    };
    for run in records.chunk_by(is_run) {
        let messages: Vec<_> = run.iter().filter_map(|records| Some((*records, records.message.as_ref()?))).collect();
        if let [(first, _), ..] = messages[..] {
            let mut rows = hl7::Rows::new(&options.table.format.mapping, None);
            messages.iter().for_each(|(records, row)| rows.push(records.first_position, row));
            let failed = |error| LoadError::Source { table: options.label.clone(), error };
            parts.extend(rows.finish().map_err(failed)?.map(|chunk| Part {
                file: &first.file,
                received_us: messages.iter().map(|(records, _)| records.received_us).collect(),
                positions: messages.iter().map(|(records, _)| records.first_position).collect(),
                origins: messages.iter().map(|&(records, _)| &records.origin).collect(),
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
                let origins = vec![&records.origin; chunk.rows];
                parts.push(Part { file: &records.file, received_us, positions, origins, chunk: Cow::Borrowed(chunk) });
                before += chunk.rows;
            }
        }
    }
    Ok(parts)
}

fn lineage_of<'a>(
    options: &'a FeedOptions,
    file: &'a str,
    received_us: Vec<i64>,
    batch_id: &'a str,
    hashes: &[u128],
    positions: Vec<i64>,
) -> Result<Lineage<'a>, ArrowError> {
    Ok(Lineage {
        source: &options.label,
        file,
        batch_id,
        received: received_us.into(),
        positions: positions.into(),
        hashes: hex_hashes(hashes)?,
        changes: StringArray::new_repeated("insert", hashes.len()),
        kept: None,
    })
}
