//! The questions a project's Jinja asks of the warehouse while it is compiled (`run_query`, `adapter.get_relation`, …).
//!
//! Synchronous, since templates are: `build` calls the compiler on a blocking thread and waits for its engine there.

use crate::Relation;

/// A column of a relation or a result.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Column {
    /// Name as stored.
    pub name: String,
    /// SQL type in lower case, as `cast` accepts it (`varchar`, `bigint`, `timestamp`, `decimal(18,2)`, …).
    pub data_type: String,
}

/// One value of a result.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// SQL NULL.
    Null,
    /// A boolean.
    Bool(bool),
    /// Any integer.
    Int(i64),
    /// A double or a decimal.
    Float(f64),
    /// Text, and everything else in its SQL spelling.
    Text(String),
}

/// All rows of a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryResult {
    /// The result's columns.
    pub columns: Vec<Column>,
    /// Row by row, as many cells as columns.
    pub rows: Vec<Vec<Cell>>,
    /// Rows a statement changed, where it changed any.
    pub rows_affected: Option<u64>,
}

/// The warehouse refused or failed. The text holds no row values.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct AdapterError {
    /// What the engine said.
    pub message: String,
}

/// The warehouse as templates see it.
pub trait Adapter: Send + Sync {
    /// Runs one statement and returns all of its rows.
    fn query(&self, sql: &str) -> Result<QueryResult, AdapterError>;
    /// The relation of that name, if it exists now.
    fn relation(&self, schema: &str, identifier: &str) -> Result<Option<Relation>, AdapterError>;
    /// The relation's columns in order; empty if it does not exist.
    fn columns(&self, relation: &Relation) -> Result<Vec<Column>, AdapterError>;
    /// Everything in a schema.
    fn relations(&self, schema: &str) -> Result<Vec<Relation>, AdapterError>;
    /// Removes a table or view, if it exists.
    fn drop_relation(&self, relation: &Relation) -> Result<(), AdapterError>;
}
