//! `audit.<model>`: what the newest run found in rows that stay.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

/// The schema of tables of findings.
pub const SCHEMA: &str = "audit";

/// The columns of a table of findings.
pub fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("rule"),
        text("kind"),
        text("action"),
        text("column_name"),
        text("source"),
        text("source_file"),
        Field::new("source_position", DataType::Int64, true),
        text("row_key"),
        text("raw_value"),
        text("value"),
    ]))
}
