//! `quarantine.<model>`: the rows that a model withholds, with their raw text and every rule they broke.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use wardlake_core::TableName;

use crate::error::RecordsError;

/// The schema of tables of withheld rows.
pub const SCHEMA: &str = "quarantine";

/// The table of a model's withheld rows.
pub fn table_of(model: &TableName) -> Result<TableName, RecordsError> {
    Ok(TableName::new(SCHEMA, model.name())?)
}

/// The columns of a table of withheld rows.
pub fn schema() -> SchemaRef {
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
